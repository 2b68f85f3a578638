generate_file "backend.tf" {
  content = "terraform {}"
}
