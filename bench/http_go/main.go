// SPDX-License-Identifier: MIT

// A net/http server on the listening socket that is descriptor 3 (GOOS=wasip1). It makes the socket
// non-blocking itself: wazero reports a blocking one, with which Go would serve one visitor at a time.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
)

const listenFd = 3

func main() {
	if err := syscall.SetNonblock(listenFd, true); err != nil {
		log.Fatal(err)
	}
	listener, err := net.FileListener(os.NewFile(listenFd, "listener"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "go %s %s\n", r.Method, r.URL.Path)
	})))
}
