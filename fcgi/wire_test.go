package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// wireVectors are streams of records and what is read of them.
var wireVectors = []struct {
	why  string
	in   []byte
	want []string
	err  string // how it ends, of the whole stream; "": io.EOF
}{
	{
		"a request, as one write may bring it (R6)",
		srvJoin(srvBegin(1, true), srvParams(1, "A=b"), srvIn(1, "in"), srvIn(1, ""), srvBegin(2, false)),
		[]string{
			`BEGIN_REQUEST 1 "\x00\x01\x01\x00\x00\x00\x00\x00"`, `PARAMS 1 "\x01\x01Ab"`, `PARAMS 1 ""`,
			`STDIN 1 "in"`, `STDIN 1 ""`, `BEGIN_REQUEST 2 "\x00\x01\x00\x00\x00\x00\x00\x00"`,
		}, "",
	},
	{
		"an answer with STDERR between two pieces of its head (F8)",
		srvJoin(AppendRecord(nil, TypeStdout, 1, []byte("Sta")), AppendRecord(nil, TypeStderr, 1, []byte("oh")),
			AppendRecord(nil, TypeStdout, 1, []byte("tus: 200\n\n")), AppendEndRequest(nil, 1, 0x01020304, StatusOverloaded)),
		[]string{
			`STDOUT 1 "Sta"`, `STDERR 1 "oh"`, `STDOUT 1 "tus: 200\n\n"`,
			`END_REQUEST 1 app=16909060 OVERLOADED`,
		}, "",
	},
	{
		"padding of 255, 0 and 1, not zero (R3)",
		[]byte("\x01\x06\x00\x01\x00\x01\xff\x00x" + strings.Repeat("P", 255) +
			"\x01\x06\x00\x01\x00\x01\x00\x00y\x01\x06\x00\x01\x00\x00\x01\x00P"),
		[]string{`STDOUT 1 "x"`, `STDOUT 1 "y"`, `STDOUT 1 ""`}, "",
	},
	{
		"reserved bytes of the header and of the body are ignored (R4)",
		[]byte("\x01\x03\x00\x01\x00\x08\x00\xff\x00\x00\x00\x07\x00\xff\xff\xff\x01\x06\xff\xff\x00\x01\x00\xffz"),
		[]string{`END_REQUEST 1 app=7 REQUEST_COMPLETE`, `STDOUT 65535 "z"`}, "",
	},
	{
		"types that nobody knows have a length all the same (F7)",
		srvJoin(AppendRecord(nil, 42, 0, []byte("?")), AppendRecord(nil, 255, 3, nil), AppendUnknownType(nil, 42)),
		[]string{`UNKNOWN(42) 0 "?"`, `UNKNOWN(255) 3 ""`, `UNKNOWN_TYPE 0 "*\x00\x00\x00\x00\x00\x00\x00"`}, "",
	},
	{
		"version 2 (R1)", []byte("\x01\x06\x00\x01\x00\x00\x00\x00\x02\x06\x00\x01\x00\x00\x00\x00"),
		[]string{`STDOUT 1 ""`}, "version 2",
	},
	{"version 0 (R1)", make([]byte, HeaderLen), nil, "version 0"},
	{"an HTTP client", []byte("GET / HTTP/1.1\r\n\r\n"), nil, "version 71"},
	{
		"a window", AppendWindow(nil, 9, TypeStdin, MaxWindow),
		[]string{`WINDOW 9 STDIN +2147483647`}, "",
	},
}

// wireRead reads records to the end and prints them.
func wireRead(r io.Reader) (got []string, err error) {
	for rr := NewRecordReader(r); ; {
		s, err := srvRecord(rr)
		if err != nil {
			return got, err
		}
		got = append(got, s)
	}
}

// Each vector whole, byte by byte (R5), and cut at every byte: then what was
// whole before the cut is read, and the end is never taken for a clean one
// within a record.
func TestWireVectors(t *testing.T) {
	for _, v := range wireVectors {
		t.Run(v.why, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": bytes.NewReader(v.in), "byte by byte": iotest.OneByteReader(bytes.NewReader(v.in)),
				"its end with its last bytes": iotest.DataErrReader(bytes.NewReader(v.in)),
			} {
				got, err := wireRead(r)
				if fmt.Sprint(got) != fmt.Sprint(v.want) {
					t.Errorf("%s:\n got %q\nwant %q", how, got, v.want)
				}
				wireWantEnd(t, how, err, v.err)
			}
			for cut := range v.in {
				got, err := wireRead(bytes.NewReader(v.in[:cut]))
				if len(got) > len(v.want) || fmt.Sprint(got) != fmt.Sprint(v.want[:len(got)]) {
					t.Fatalf("cut at %d: got %q, want the beginning of %q", cut, got, v.want)
				}
				if err == io.EOF != wireBorder(v.in, cut) && v.err == "" {
					t.Errorf("cut at %d: %v; between two records: %v", cut, err, wireBorder(v.in, cut))
				}
			}
		})
	}
}

func wireWantEnd(t *testing.T, how string, err error, want string) {
	t.Helper()
	var breach *ProtocolError
	switch {
	case want == "" && err != io.EOF:
		t.Errorf("%s: %v, want io.EOF", how, err)
	case want != "" && (!errors.As(err, &breach) || !strings.Contains(breach.Reason, want)):
		t.Errorf("%s: %v, want a protocol error with %q", how, err, want)
	}
}

// wireBorder reports whether at is between two records of b, read without this package.
func wireBorder(b []byte, at int) bool {
	i := 0
	for i < at {
		i += 8 + int(b[i+4])<<8 + int(b[i+5]) + int(b[i+6])
	}
	return i == at
}

// The largest record there is: 65535 bytes and 255 of padding (R2).
func TestWireLargestRecord(t *testing.T) {
	content := []byte(strings.Repeat("0123456789abcdef", 4096))[:MaxContent]
	in := append([]byte{1, byte(TypeStdout), 0, 1, 0xff, 0xff, 255, 0}, content...)
	in = append(in, make([]byte, 255)...)
	in = AppendRecord(in, TypeStdin, 2, []byte("next"))
	for how, r := range map[string]io.Reader{
		"whole": bytes.NewReader(in), "byte by byte": iotest.OneByteReader(bytes.NewReader(in)),
		"in halves": iotest.HalfReader(bytes.NewReader(in)),
	} {
		rr := NewRecordReader(r)
		h, err := rr.Next()
		if err != nil || h.ContentLength != MaxContent || h.PaddingLength != 255 {
			t.Fatalf("%s: %v, %v", how, h, err)
		}
		var got []byte
		for {
			b, err := rr.Chunk()
			if err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			if len(b) == 0 {
				break
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("%s: the content differs", how)
		}
		if s, err := srvRecord(rr); s != `STDIN 2 "next"` {
			t.Errorf("%s: behind it %s, %v", how, s, err)
		}
	}
	for cut := len(in) - 300; cut < len(in); cut++ {
		if got, err := wireRead(bytes.NewReader(in[:cut])); err == io.EOF && !wireBorder(in, cut) {
			t.Errorf("cut at %d: %d records and a clean end", cut, len(got))
		}
	}
}

// What is written is read again, and its length is a multiple of eight (R9).
func TestWireRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 127, 128, 4095, 65527, 65528, 65534, 65535} {
		b := AppendRecord(nil, TypeStdout, 513, bytes.Repeat([]byte{'x'}, n))
		if len(b)%8 != 0 || len(b) >= HeaderLen+n+8 {
			t.Errorf("%d bytes of content make a record of %d", n, len(b))
		}
		got, err := wireRead(bytes.NewReader(b))
		if want := fmt.Sprintf("STDOUT 513 %q", strings.Repeat("x", n)); err != io.EOF || len(got) != 1 || got[0] != want {
			t.Errorf("%d bytes: %d records, %v", n, len(got), err)
		}
	}
	stream := AppendStream(nil, TypeStdin, 1, make([]byte, 2*MaxContent+1))
	got, err := wireRead(bytes.NewReader(stream))
	if len(got) != 3 || err != io.EOF {
		t.Errorf("a stream of two records and a byte: %d records, %v", len(got), err)
	}
	if b := AppendStream(nil, TypeStdin, 1, nil); len(b) != 0 {
		t.Errorf("an empty piece of a stream ended it: %q (§3.3)", b)
	}
}

// Lengths of one and of four bytes (R10), a stream divided anywhere (R7), and
// pairs that are never divided by us.
func TestWireParams(t *testing.T) {
	var p Params
	var want []string
	for _, n := range []int{0, 1, 127, 128, 255, 256, 30000, MaxContent - 100} {
		name, value := fmt.Sprintf("N%d", n), strings.Repeat("v", n)
		p.Add(name, value)
		want = append(want, name+"="+value)
	}
	p.Add(strings.Repeat("L", 200), "long name")
	p.Add("", "")
	want = append(want, strings.Repeat("L", 200)+"=long name", "=")
	if p.Err() != nil {
		t.Fatal(p.Err())
	}
	records := NewRecordReader(bytes.NewReader(p.appendRecords(nil, 1)))
	var got []string
	for {
		h, err := records.Next()
		if err != nil || h.Type != TypeParams {
			t.Fatalf("%v, %v before the empty record", h, err)
		}
		if h.ContentLength == 0 {
			break
		}
		d := paramsDecoder{limit: MaxContent} // a new one: no pair is in two records
		wireAddAll(t, &d, wireContent(t, records), &got)
		if err := d.end(); err != nil {
			t.Fatalf("a record of %d bytes: %v", h.ContentLength, err)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %d pairs, want %d", len(got), len(want))
	}
	var each []string
	p.Each(func(n, v string) { each = append(each, n+"="+v) })
	if fmt.Sprint(each) != fmt.Sprint(want) {
		t.Errorf("Each: %d pairs, want %d", len(each), len(want))
	}
}

func wireContent(t *testing.T, rr *RecordReader) (content []byte) {
	t.Helper()
	for {
		b, err := rr.Chunk()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			return content
		}
		content = append(content, b...)
	}
}

func wireAddAll(t *testing.T, d *paramsDecoder, b []byte, got *[]string) {
	t.Helper()
	if err := d.add(b, func(n, v string) { *got = append(*got, n+"="+v) }); err != nil {
		t.Fatal(err)
	}
}

// wirePairs has lengths in every form: short, long, and long where short would do.
const wirePairs = "\x01\x01AB" + "\x80\x00\x00\x01\x80\x00\x00\x02CDE" + "\x03\x80\x00\x00\x00XYZ" + "\x00\x00"

func TestWireParamsDivided(t *testing.T) {
	want := "A=B C=DE XYZ= ="
	for cut := 0; cut <= len(wirePairs); cut++ {
		for second := cut; second <= len(wirePairs); second++ {
			var got []string
			d := paramsDecoder{limit: 1000}
			for _, piece := range []string{wirePairs[:cut], wirePairs[cut:second], wirePairs[second:]} {
				wireAddAll(t, &d, []byte(piece), &got)
			}
			if s := strings.Join(got, " "); s != want || d.end() != nil {
				t.Fatalf("divided at %d and %d: %q, %v", cut, second, s, d.end())
			}
		}
		var got []string
		d := paramsDecoder{limit: 1000}
		wireAddAll(t, &d, []byte(wirePairs[:cut]), &got)
		whole := cut == 0 || cut == 4 || cut == 15 || cut == 23 || cut == 25
		if err := d.end(); whole != (err == nil) {
			t.Errorf("ended at %d: %v", cut, err)
		}
	}
}

// A length that is only declared costs nothing (R10).
func TestWireParamsHugeLengths(t *testing.T) {
	for _, in := range []string{
		"\xff\xff\xff\xff\xff\xff\xff\xffx", "\xff\xff\xff\xff\x00", "\x01\xff\xff\xff\xffx", "\x80\x10\x00\x00\x00",
	} {
		for cut := 0; cut <= len(in); cut++ {
			d := paramsDecoder{limit: 1 << 20}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := d.add([]byte(in[:cut]), func(n, v string) { t.Errorf("%q gave a pair", in) })
			if err == nil {
				err = d.add([]byte(in[cut:]), func(n, v string) { t.Errorf("%q gave a pair", in) })
			}
			runtime.ReadMemStats(&after)
			var breach *ProtocolError
			if in != "\x80\x10\x00\x00\x00" && !errors.As(err, &breach) {
				t.Errorf("%q in two at %d: %v, want a protocol error", in, cut, err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
				t.Errorf("%q took %d bytes of memory", in, n)
			}
		}
	}
}

// A pair that fits no record, and a stream over its bound.
func TestWireParamsBounds(t *testing.T) {
	var p Params
	p.Add("X", strings.Repeat("v", maxFilled-6)) // 1 + 4 + 1 + value
	if p.Err() != nil || p.Len() != maxFilled {
		t.Fatalf("the largest pair: %v, %d bytes", p.Err(), p.Len())
	}
	p.Add("X", strings.Repeat("v", maxFilled-5))
	if !errors.Is(p.Err(), ErrParamTooLarge) {
		t.Errorf("a byte more: %v", p.Err())
	}
	p.Reset()
	if p.Err() != nil || p.Len() != 0 {
		t.Errorf("after Reset: %v, %d bytes", p.Err(), p.Len())
	}
	d := paramsDecoder{limit: 10}
	if err := d.add([]byte("\x01\x01AB\x01\x01AB"), func(_, _ string) {}); err != nil {
		t.Errorf("within the bound: %v", err)
	}
	if err := d.add([]byte("\x01\x01A"), func(_, _ string) {}); err == nil {
		t.Error("11 bytes passed a bound of 10")
	}
}

// Unknown values stay printable.
func TestWireNames(t *testing.T) {
	for got, want := range map[string]string{
		TypeGetValuesResult.String(): "GET_VALUES_RESULT", Type(99).String(): "UNKNOWN(99)", Type(0).String(): "UNKNOWN(0)",
		RoleFilter.String(): "FILTER", Role(9).String(): "UNKNOWN(9)",
		StatusCantMultiplex.String(): "CANT_MPX_CONN", ProtocolStatus(77).String(): "UNKNOWN(77)",
		Header{Type: TypeStdin, ID: 3, ContentLength: 5, PaddingLength: 3}.String(): "STDIN id=3 len=5 pad=3",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
