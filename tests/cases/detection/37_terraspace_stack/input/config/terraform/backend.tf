terraform {
  backend "s3" {
    bucket = "<%= expansion('states-:ACCOUNT') %>"
  }
}
