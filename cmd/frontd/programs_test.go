package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// goFCGI is a FastCGI program made with the standard library's net/http/fcgi,
// which takes its listening socket on fd 0.
func goFCGI() {
	mux := http.NewServeMux()
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "name=%s text=%s method=%s pid=%d\n", r.FormValue("name"), r.FormValue("text"), r.Method, os.Getpid())
	})
	mux.HandleFunc("/checksum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"size":%d,"sha256":"%s"}`, n, hex.EncodeToString(h.Sum(nil)))
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		f, head, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h := sha256.New()
		n, _ := io.Copy(h, f)
		fmt.Fprintf(w, "%s %d %x field=%s\n", head.Filename, n, h.Sum(nil), r.FormValue("field"))
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("bytes"))
		w.Write(pattern(n))
	})
	if err := fcgi.Serve(nil, mux); err != nil {
		fmt.Fprintln(os.Stderr, "gofcgi:", err)
		os.Exit(1)
	}
}

// detached starts the command in its arguments in a session of its own, and
// does not wait for it: a daemon that an application leaves behind.
func detached() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "detached:", err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
}

// pattern is what /download of every application sends: byte i is i modulo
// 251, a prime, so that a block lost or doubled on the way shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}
