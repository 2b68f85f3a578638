# of every stack

generate_hcl "backend.tf" {
  content {
    terraform {
      backend "s3" {}
    }
  }
}
