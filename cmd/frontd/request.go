package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/yookoala/gofast"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
)

// requestFlags are the command line of request.
type requestFlags struct {
	method  string
	body    string
	params  []string
	timeout time.Duration
}

func requestCommand() *cobra.Command {
	var f requestFlags
	cmd := &cobra.Command{
		Use:   "request ADDRESS [URL] [-X METHOD] [-d BODY] [-p NAME=VALUE]...",
		Short: "Send one FastCGI request to any FastCGI server and print what it answers",
		Long: "Send one FastCGI request to any FastCGI server and print what it answers, as it is:\n" +
			"what it wrote to FCGI_STDOUT on standard output, FCGI_STDERR on standard error, and how\n" +
			"the request ended on standard error behind \"# \". For PHP name the script:\n" +
			"  frontd request unix:/run/php/php-fpm.sock /index.php -p SCRIPT_FILENAME=/srv/www/index.php",
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.method, "method", "X", "", "request `METHOD` (default GET, or POST with a body)")
	fl.StringVarP(&f.body, "data", "d", "", "request `BODY`; @FILE reads it from a file, @- from standard input")
	fl.StringArrayVarP(&f.params, "param", "p", nil, "`NAME=VALUE` of a parameter, may be repeated; NAME= leaves it empty")
	fl.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for the whole answer")
	return cmd
}

func (f *requestFlags) run(cmd *cobra.Command, args []string) error {
	addr, err := config.ParseAddress(args[0])
	if err != nil {
		return &usageError{err, cmd}
	}
	if addr.Net == "systemd" || addr.Scheme == "http" || addr.Scheme == "https" {
		return usagef(cmd, "address %s: want HOST:PORT, unix:/path or unix:@name of a FastCGI server", args[0])
	}
	target := "/"
	if len(args) > 1 {
		target = args[1]
	}
	req, err := f.request(cmd, target, addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	nc, err := dialer(addr.Network(), addr.Addr)(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w%s", args[0], err, dialHint(err))
	}
	return exchange(ctx, nc, req, cmd.OutOrStdout(), cmd.ErrOrStderr())
}

func dialHint(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return " (nothing listens there)"
	case errors.Is(err, syscall.EACCES):
		return " (this user may not connect to that socket)"
	case errors.Is(err, syscall.ENOENT):
		return " (there is no such socket)"
	}
	return ""
}

// request makes gofast's request, with the parameters a web server would send.
func (f *requestFlags) request(cmd *cobra.Command, target string, addr config.Address) (*gofast.Request, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, usagef(cmd, "URL %q: %v; want a path, as in /a/b?c=d, or http://host/path", target, err)
	}
	body, err := f.readBody(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	method := f.method
	if method == "" {
		method = http.MethodGet
		if cmd.Flags().Changed("data") {
			method = http.MethodPost
		}
	}
	host := u.Host
	if host == "" {
		host = "localhost"
	}
	name, port := host, "80"
	if h, p, err := net.SplitHostPort(host); err == nil {
		name, port = h, p
	}
	req := gofast.NewRequest(nil)
	req.Stdin = io.NopCloser(strings.NewReader(body))
	req.Params = map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "frontd-request", "SERVER_PROTOCOL": "HTTP/1.1",
		"SERVER_NAME": name, "SERVER_PORT": port, "HTTP_HOST": host, "REQUEST_SCHEME": "http",
		"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "0", "SERVER_ADDR": "127.0.0.1",
		"REQUEST_METHOD": method, "REQUEST_URI": u.RequestURI(), "QUERY_STRING": u.RawQuery,
		"SCRIPT_NAME": "", "PATH_INFO": u.Path, "DOCUMENT_URI": u.Path, "REDIRECT_STATUS": "200",
	}
	if cmd.Flags().Changed("data") {
		req.Params["CONTENT_LENGTH"] = strconv.Itoa(len(body))
		req.Params["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
	}
	for _, p := range f.params {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, usagef(cmd, "-p %q: want NAME=VALUE", p)
		}
		req.Params[k] = v
		if k == "SCRIPT_FILENAME" {
			req.Params["SCRIPT_NAME"] = u.Path
			delete(req.Params, "PATH_INFO")
		}
	}
	return req, nil
}

func (f *requestFlags) readBody(stdin io.Reader) (string, error) {
	name, isFile := strings.CutPrefix(f.body, "@")
	if !isFile {
		return f.body, nil
	}
	if name == "-" {
		b, err := io.ReadAll(stdin)
		return string(b), err
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// exchange sends req with gofast, and prints the records of the answer as
// they come: gofast would show its own reading of them.
func exchange(ctx context.Context, nc net.Conn, req *gofast.Request, stdout, stderr io.Writer) error {
	pr, pw := io.Pipe()
	conn := &watchedConn{Conn: nc, copy: pw}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	client, err := gofast.SimpleClientFactory(func() (net.Conn, error) { return conn, nil })()
	if err != nil {
		return fmt.Errorf("start client: %w", err)
	}
	req.Raw, _ = http.NewRequestWithContext(ctx, http.MethodGet, "/", nil) // gofast takes its context only
	resp, err := client.Do(req)
	if err != nil {
		nc.Close()
		return fmt.Errorf("send request: %w", err)
	}
	drained := make(chan struct{})
	go func() {
		// Its end is received below: drained.
		defer close(drained)
		resp.WriteTo(discard{}, io.Discard)
	}()
	err = printAnswer(pr, &conn.id, stdout, stderr)
	pr.CloseWithError(io.ErrClosedPipe)
	nc.Close()
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return errors.New("no end of the answer in time (--timeout): who serves that socket is busy, or the socket is there and nobody serves it")
		}
		return fmt.Errorf("no end of the answer: %w", ctx.Err())
	}
	<-drained
	return err
}

// printAnswer prints what an application sends until it ends the request, whose
// id is known before anything is sent. A record of another one is no part of it.
func printAnswer(r io.Reader, id *atomic.Uint32, stdout, stderr io.Writer) error {
	rr := fcgi.NewRecordReader(r)
	for {
		h, err := rr.Next()
		if err != nil {
			return fmt.Errorf("the connection ended before the request did: %w", err)
		}
		out := io.Discard
		if known := h.Type == fcgi.TypeStdout || h.Type == fcgi.TypeStderr || h.Type == fcgi.TypeEndRequest; known && uint32(h.ID) != id.Load() {
			return fmt.Errorf("%v of request %d in the answer to request %d (FastCGI §3.3)", h.Type, h.ID, id.Load())
		}
		switch h.Type {
		case fcgi.TypeStdout:
			out = stdout
		case fcgi.TypeStderr:
			out = stderr
		case fcgi.TypeEndRequest:
			return printEnd(rr, h, stderr)
		}
		for {
			b, err := rr.Chunk()
			if err != nil {
				return fmt.Errorf("the connection ended within a record: %w", err)
			}
			if len(b) == 0 {
				break
			}
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
	}
}

func printEnd(rr *fcgi.RecordReader, h fcgi.Header, stderr io.Writer) error {
	b, err := rr.Fixed(h, 8)
	if err != nil || len(b) != 8 {
		return fmt.Errorf("malformed end of the request (%d bytes): %w", len(b), err)
	}
	app := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	status := fcgi.ProtocolStatus(b[4])
	fmt.Fprintf(stderr, "# ended: %v, application status %d\n", status, app)
	if status != fcgi.StatusRequestComplete {
		return &fcgi.StatusError{Status: status}
	}
	return nil
}

// A watchedConn copies what is read from it. When nobody reads the copy any
// more its reader gets an end.
type watchedConn struct {
	net.Conn
	copy *io.PipeWriter
	id   atomic.Uint32 // of the request, as its first record has it
}

func (c *watchedConn) Write(p []byte) (int, error) {
	if len(p) >= 4 {
		c.id.CompareAndSwap(0, uint32(p[2])<<8|uint32(p[3]))
	}
	return c.Conn.Write(p)
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if _, werr := c.copy.Write(p[:n]); werr != nil {
			return n, io.EOF
		}
	}
	if err != nil {
		c.copy.CloseWithError(err)
	}
	return n, err
}

// discard takes gofast's reading of the answer, which is printed already.
type discard struct{}

func (discard) Header() http.Header         { return make(http.Header) }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
