terramate {
  required_version = "~> 0.11"
}
# generate_hcl "backend.tf" {}
