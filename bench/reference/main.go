// The yardstick of the benches, and the client that holds it against us.
//
//	reference serve FOLDER   a server that only writes bodies and fsyncs them; it prints its port
//	reference load           sends what the JSON on standard input asks for; it prints what it took
package main

import (
	"fmt"
	"os"
)

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		serve(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "load":
		load(os.Stdin, os.Stdout)
	default:
		fmt.Fprintln(os.Stderr, "usage: reference serve FOLDER | reference load")
		os.Exit(2)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
