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
	"time"
)

// Answers in two parts with a pause between them, or breaks off when the visitor seems to be gone.
func slow(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "10")
	fmt.Fprint(w, "first")
	w.(http.Flusher).Flush()
	select {
	case <-r.Context().Done():
	case <-time.After(1500 * time.Millisecond):
		fmt.Fprint(w, "-last")
	}
}

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
		if r.URL.Path == "/slow" {
			slow(w, r)
			return
		}
		fmt.Fprintf(w, "go %s %s\n", r.Method, r.URL.Path)
	})))
}
