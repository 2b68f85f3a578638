stack {
  name = "net"
}
