package main

import (
	"bytes"
	"fmt"
	"strings"
)

// maxConns bounds what is opened at once: the harness and each side need a
// descriptor for each, of a customary limit of 1024.
const maxConns = 400

const contentType = "text/plain; charset=utf-8"

// A workload is one kind of request and its one right answer.
type workload struct {
	Name   string
	title  string
	path   string
	post   bool
	upload int64 // bytes of the request's body
	answer []byte
	conns  int // the most connections that make sense; 0: any
}

const line = "0123456789abcde\n" // 16 bytes, so that sizes come out even

var (
	answer10K = bytes.Repeat([]byte(line), 10<<10/len(line))
	answer1M  = bytes.Repeat([]byte(line), 1<<20/len(line))
)

var allWorkloads = []*workload{
	{Name: "hello", title: "GET, 6 bytes back", path: "/hello", answer: []byte("hello\n")},
	{Name: "10k", title: "GET, 10 KiB back", path: "/10k", answer: answer10K},
	{Name: "1m", title: "GET, 1 MiB back", path: "/1m", answer: answer1M},
	{Name: "upload", title: "POST of 1 MiB, its length back", path: "/upload", post: true, upload: 1 << 20, answer: []byte("1048576\n")},
	{Name: "upload100m", title: "POST of 100 MiB, its length back; one connection", path: "/upload", post: true, upload: 100 << 20, answer: []byte("104857600\n"), conns: 1},
}

func findWorkload(name string) *workload {
	for _, w := range allWorkloads {
		if w.Name == name {
			return w
		}
	}
	return nil
}

func workloadNames() string {
	var names []string
	for _, w := range allWorkloads {
		names = append(names, w.Name)
	}
	return strings.Join(names, ", ")
}

// head is the request up to its body, the same bytes for every side but for
// the suffix of the path.
func (w *workload) head(suffix string) []byte {
	method, length := "GET", ""
	if w.post {
		method = "POST"
		length = fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", w.upload)
	}
	return fmt.Appendf(nil, "%s %s%s HTTP/1.1\r\nHost: bench.local\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n",
		method, w.path, suffix, length)
}

// size is what a request moves, in bytes.
func (w *workload) size() int64 { return w.upload + int64(len(w.answer)) }
