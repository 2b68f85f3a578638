unit "net" {
  source = "../units/net"
  path   = "net"
}
