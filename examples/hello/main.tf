# A module that needs no cloud and no provider: two things, one of which is made of the other.

variable "name" {
  type        = string
  description = "Who is greeted."
  default     = "world"
}

resource "terraform_data" "greeting" {
  input = "Hello, ${var.name}!"
}

resource "terraform_data" "door_sign" {
  triggers_replace = [terraform_data.greeting.output]

  provisioner "local-exec" {
    command = "echo 'Painting the door sign …' && sleep 1 && echo 'Done.'"
  }
}
