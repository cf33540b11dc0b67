package front

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A LogFormat is how a line of the access log looks.
type LogFormat uint8

const (
	// LogText is the combined log format with more behind it, as name=value.
	LogText LogFormat = iota
	// LogJSON is one object a line, with the keys time, client, method, uri, …
	LogJSON
	// LogTerminal is a short line in colour for a person at a terminal, see
	// appendTerminal; LogTerminalPlain is that without the colours.
	LogTerminal
	LogTerminalPlain
)

// appendText appends
//
//	CLIENT - - [TIME] "METHOD URI PROTO" STATUS BYTES "REFERER" "USER-AGENT" host="H" app=A worker=PID queue=S worker_time=S total=S in=BYTES attempts=N cause=C detail="WHY" incident=I id=ID
//
// with "-" for what there is not; detail= and incident= are there only for a request that has them. Times are seconds. What clients send is
// quoted; see appendQuoted.
func appendText(b []byte, x *Exchange, r *http.Request, s *second) []byte {
	b = appendClient(b, x)
	b = append(b, " - - ["...)
	b = append(b, s.text...)
	b = append(b, `] "`...)
	b = appendQuoted(b, dash(r.Method))
	b = append(b, ' ')
	b = appendQuoted(b, dash(r.RequestURI))
	b = append(b, ' ')
	b = appendQuoted(b, dash(r.Proto))
	b = append(b, `" `...)
	b = appendStatus(b, x.Status)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.BytesOut, 10)
	b = append(b, ` "`...)
	b = appendQuoted(b, dash(first(r.Header["Referer"])))
	b = append(b, `" "`...)
	b = appendQuoted(b, dash(first(r.Header["User-Agent"])))
	b = append(b, `" host="`...)
	b = appendQuoted(b, x.Host)
	b = append(b, `" app=`...)
	b = appendQuoted(b, dash(x.App))
	b = append(b, " worker="...)
	if x.Worker.PID != 0 {
		b = strconv.AppendInt(b, int64(x.Worker.PID), 10)
	} else {
		b = append(b, '-')
	}
	b = appendSeconds(append(b, " queue="...), x.Queue)
	b = appendSeconds(append(b, " worker_time="...), x.WorkerTime)
	b = appendSeconds(append(b, " total="...), x.Total)
	b = strconv.AppendInt(append(b, " in="...), x.BytesIn, 10)
	b = strconv.AppendInt(append(b, " attempts="...), int64(x.Attempts), 10)
	b = append(append(b, " cause="...), dash(string(x.Cause))...)
	if x.Cause != "" && x.Detail != "" {
		b = append(appendQuoted(append(b, ` detail="`...), clipDetail(x.Detail)), '"')
	}
	if i := x.Incident; i != nil {
		b = append(append(b, " incident="...), i.ID...)
	}
	b = append(append(b, " id="...), x.ID...)
	return append(b, '\n')
}

// maxDetail bounds what a text line says of a cause, before quoting: a path in it
// may be as long as a request's target.
const maxDetail = 300

func clipDetail(s string) string {
	s, _, _ = strings.Cut(s, "\n") // what else a worker printed stands in the log already
	if len(s) > maxDetail {
		return s[:maxDetail] + "..."
	}
	return s
}

// appendStatus writes 000 where no head was sent, as three digits always stand there.
func appendStatus(b []byte, status int) []byte {
	if status == 0 {
		return append(b, "000"...)
	}
	return strconv.AppendInt(b, int64(status), 10)
}

func appendClient(b []byte, x *Exchange) []byte {
	if !x.Client.IsValid() {
		return append(b, '-')
	}
	return x.Client.Addr().AppendTo(b)
}

// appendSeconds writes d in seconds to the microsecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	us := int64(max(d, 0).Round(time.Microsecond) / time.Microsecond)
	b = strconv.AppendInt(b, us/1e6, 10)
	var digits [7]byte
	for i := len(digits) - 1; i > 0; i-- {
		digits[i] = byte('0' + us%10)
		us /= 10
	}
	digits[0] = '.'
	return append(b, digits[:]...)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends s for between quotes: a quote, a backslash, a control
// byte or one beyond ASCII as \xHH. So nothing a client sends ends the
// line, leaves the quotes, or reaches a terminal as an escape sequence
// (0x9b begins one as well as ESC does).
func appendQuoted(b []byte, s string) []byte {
	plain := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, s[plain:i]...)
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
			plain = i + 1
		}
	}
	return append(b, s[plain:]...)
}

// appendJSON appends the record as one JSON object on one line.
func appendJSON(b []byte, x *Exchange, r *http.Request, s *second) []byte {
	b = append(b, `{"time":"`...)
	b = s.appendTime(b, x.Start.Nanosecond())
	b = append(b, `","msg":"request","client":"`...)
	b = appendClient(b, x)
	b = append(b, '"')
	b = appendField(b, "method", r.Method)
	b = appendField(b, "uri", r.RequestURI)
	b = appendField(b, "proto", r.Proto)
	b = appendField(b, "scheme", x.Scheme)
	b = appendField(b, "host", x.Host)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(x.Status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), x.BytesOut, 10)
	b = strconv.AppendInt(append(b, `,"bytes_in":`...), x.BytesIn, 10)
	b = appendField(b, "referer", first(r.Header["Referer"]))
	b = appendField(b, "user_agent", first(r.Header["User-Agent"]))
	b = appendField(b, "app", x.App)
	b = strconv.AppendInt(append(b, `,"worker":`...), int64(x.Worker.PID), 10)
	b = appendField(b, "worker_name", x.Worker.Name)
	b = appendSeconds(append(b, `,"queue":`...), x.Queue)
	b = appendSeconds(append(b, `,"worker_time":`...), x.WorkerTime)
	b = appendSeconds(append(b, `,"total":`...), x.Total)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(x.Attempts), 10)
	b = appendField(b, "cause", string(x.Cause))
	b = appendField(b, "detail", x.Detail)
	if i := x.Incident; i != nil {
		b = appendField(b, "incident", i.ID)
	}
	b = appendField(b, "id", x.ID)
	return append(b, "}\n"...)
}

// appendField appends a string member, unless it is empty.
func appendField(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), key...), `":"`...)
	for i, c := range value {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c == utf8.RuneError && value[i] != 0xef: // a byte that is not UTF-8; JSON has no way to say it
			b = append(b, `\ufffd`...)
		case c < ' ', 0x7f <= c && c < 0xa0, c == '\u2028', c == '\u2029':
			b = append(b, '\\', 'u', hexDigits[c>>12&15], hexDigits[c>>8&15], hexDigits[c>>4&15], hexDigits[c&15])
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}
