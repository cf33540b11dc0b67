package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	netfcgi "net/http/fcgi"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/yookoala/gofast"

	"github.com/frontd/frontd/worker"
)

// rolePrefix marks the first argument, or the name this program was called by,
// where it is not the harness but one of the programs under test: a Go worker
// is the same binary and the same handler on every side, so that only what
// speaks FastCGI differs.
const rolePrefix = "role:"

// workerName is a link to this program, for who starts a program by its path alone.
const workerName = rolePrefix + "worker"

func roleOf(words []string) (role string, args []string) {
	if role, ok := strings.CutPrefix(filepath.Base(words[0]), rolePrefix); ok {
		return role, words[1:]
	}
	if len(words) > 1 {
		if role, ok := strings.CutPrefix(words[1], rolePrefix); ok {
			return role, words[2:]
		}
	}
	return "", nil
}

func playRole(role string, args []string) error {
	switch role {
	case "worker": // frontd's SDK, on fd 0
		return worker.Serve(application())
	case "netfcgi": // the standard library's net/http/fcgi, on fd 0
		return netfcgi.Serve(nil, application())
	case "gofast": // HTTPADDRESS SOCKET
		if len(args) != 2 {
			return fmt.Errorf("role gofast: want an address and a socket")
		}
		return http.ListenAndServe(args[0], gofastFront(args[1]))
	case "ceiling": // HTTPADDRESS
		if len(args) != 1 {
			return fmt.Errorf("role ceiling: want an address")
		}
		return serveCeiling(args[0])
	}
	return fmt.Errorf("no role %q", role)
}

// application answers every workload.
func application() http.Handler {
	mux := http.NewServeMux()
	for _, w := range allWorkloads {
		if !w.post {
			mux.HandleFunc(w.path, func(rw http.ResponseWriter, _ *http.Request) { give(rw, w.answer) })
		}
	}
	mux.HandleFunc(crowdPath, func(rw http.ResponseWriter, r *http.Request) {
		for err := error(nil); err == nil; {
			_, err = rw.Write(answer1M)
		}
	})
	mux.HandleFunc("/upload", func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		give(rw, fmt.Appendf(nil, "%d\n", n))
	})
	return mux
}

func give(w http.ResponseWriter, answer []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.Write(answer) // an error is the client's leaving, which the harness sees itself
}

// gofastFront is gofast as its documentation shows it: a connection for each
// request. (Its pool of connections gives a part of the answers to others
// once a client has left.)
func gofastFront(socket string) http.Handler {
	h := gofast.NewHandler(
		gofast.Chain(gofast.BasicParamsMap, gofast.MapHeader)(gofast.BasicSession),
		gofast.SimpleClientFactory(gofast.SimpleConnFactory("unix", socket)),
	)
	h.SetLogger(log.New(os.Stderr, "", 0))
	return h
}

// serveCeiling answers hello with hardly any work: what a side costs less than
// this cannot be measured, and no side can be faster.
func serveCeiling(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		go answerHello(nc)
		// Ends with its connection, or with the process.
	}
}

func answerHello(nc net.Conn) {
	defer nc.Close()
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 6\r\n\r\nhello\n", contentType)
	want := len(findWorkload("hello").head(""))
	buf := make([]byte, want)
	for {
		if _, err := io.ReadFull(nc, buf); err != nil {
			return
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}
