output "greeting" {
  description = "What the door sign says."
  value       = terraform_data.greeting.output
}

output "door_sign" {
  description = "The identity of the sign: it changes when the greeting does."
  value       = terraform_data.door_sign.id
}
