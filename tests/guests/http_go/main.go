// SPDX-License-Identifier: MIT

// A net/http server on the listener that it is handed as a descriptor (GOOS=wasip1).
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
)

func main() {
	fd, err := strconv.Atoi(os.Getenv("WASMHUB_LISTEN_FD"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "go %s %s\n", r.Method, r.URL.Path)
	})))
}
