package front

import (
	"net/http"
	"strconv"
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
)

// appendText appends
//
//	CLIENT - - [TIME] "METHOD URI PROTO" STATUS BYTES "REFERER" "USER-AGENT" host="H" app=A worker=PID queue=S worker_time=S total=S in=BYTES attempts=N cause=C id=ID
//
// with "-" for what there is not. Times are seconds. What clients send is
// quoted; see appendQuoted.
func appendText(b []byte, x *Exchange, r *http.Request, now time.Time) []byte {
	b = appendClient(b, x)
	b = append(b, " - - ["...)
	b = x.Start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendQuoted(b, r.Method)
	b = append(b, ' ')
	b = appendQuoted(b, r.RequestURI)
	b = append(b, ' ')
	b = appendQuoted(b, r.Proto)
	b = append(b, `" `...)
	b = appendStatus(b, x.Status)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.BytesOut, 10)
	b = append(b, ` "`...)
	b = appendQuoted(b, dash(r.Header.Get("Referer")))
	b = append(b, `" "`...)
	b = appendQuoted(b, dash(r.Header.Get("User-Agent")))
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
	b = appendSeconds(append(b, " total="...), now.Sub(x.Start))
	b = strconv.AppendInt(append(b, " in="...), x.BytesIn, 10)
	b = strconv.AppendInt(append(b, " attempts="...), int64(x.Attempts), 10)
	b = append(append(b, " cause="...), dash(string(x.Cause))...)
	b = append(append(b, " id="...), x.ID...)
	return append(b, '\n')
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
	return strconv.AppendFloat(b, d.Seconds(), 'f', 6, 64)
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
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// appendJSON appends the record as one JSON object on one line.
func appendJSON(b []byte, x *Exchange, r *http.Request, now time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = x.Start.AppendFormat(b, time.RFC3339Nano)
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
	b = appendField(b, "referer", r.Header.Get("Referer"))
	b = appendField(b, "user_agent", r.Header.Get("User-Agent"))
	b = appendField(b, "app", x.App)
	b = strconv.AppendInt(append(b, `,"worker":`...), int64(x.Worker.PID), 10)
	b = appendField(b, "worker_name", x.Worker.Name)
	b = appendSeconds(append(b, `,"queue":`...), x.Queue)
	b = appendSeconds(append(b, `,"worker_time":`...), x.WorkerTime)
	b = appendSeconds(append(b, `,"total":`...), now.Sub(x.Start))
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(x.Attempts), 10)
	b = appendField(b, "cause", string(x.Cause))
	b = appendField(b, "detail", x.Detail)
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
