package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// panicPrefix begins the line that tells frontd of a panic in a form for
// programs: a JSON object, as frontd's WSGI host writes it.
const panicPrefix = "frontd-traceback: "

// Bounds of that line. Of more frames the middle is left out.
const (
	maxPanicFrames = 60
	maxPanicDepth  = 1000 // frames looked at
	maxPanicText   = 2000 // bytes of a message
	maxPanicCauses = 5    // errors that the value wraps
)

// A panicked is what the line says.
type panicked struct {
	Language string       `json:"language"`
	Type     string       `json:"type"`
	Message  string       `json:"message"`
	Frames   []panicFrame `json:"frames"` // outermost call first
	Relation string       `json:"relation,omitempty"`
	Cause    *panicked    `json:"cause,omitempty"` // an error that the one before wraps
}

type panicFrame struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Function string `json:"function"`
}

// tellPanic writes the line where the web server is frontd, which takes it out of
// what it logs. It is called upon the frames of the panic.
func tellPanic(ctx context.Context, value any) {
	if variable(ctx, "SERVER_SOFTWARE") != "frontd" {
		return
	}
	p := describe(value)
	p.Frames = panicFrames()
	if line, err := json.Marshal(p); err == nil { // plain data
		io.WriteString(Stderr(ctx), "\n"+panicPrefix+string(line)+"\n")
	}
}

// describe says what was panicked with. Its own methods may panic in turn.
func describe(value any) (p *panicked) {
	p = &panicked{Language: "go", Type: "panic"}
	defer func() {
		if again := recover(); again != nil {
			p.Message, p.Cause = fmt.Sprintf("a %T that panics when it is asked what it says", value), nil
		}
	}()
	err, ok := value.(error)
	if !ok {
		p.Message = clip(fmt.Sprint(value))
		return p
	}
	p.Type, p.Message = typeOf(err), clip(err.Error())
	if r, ok := err.(runtime.Error); ok { //nolint:errorlint // the value itself, not what it wraps
		p.Type, p.Message = "runtime error", clip(strings.TrimPrefix(r.Error(), "runtime error: "))
	}
	last := p
	for range maxPanicCauses {
		if err = errors.Unwrap(err); err == nil {
			break
		}
		last.Cause = &panicked{Language: "go", Type: typeOf(err), Message: clip(err.Error())}
		last.Relation, last = "from", last.Cause
	}
	return p
}

// typeOf names an error's type, but for those that only hold a text.
func typeOf(err error) string {
	t := reflect.TypeOf(err)
	name := t.String()
	if t.Kind() == reflect.Pointer {
		switch t.Elem().PkgPath() {
		case "errors", "fmt":
			return "panic"
		}
	}
	return name
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxPanicText)], "\uFFFD") }

// panicFrames are the calls from the server to where the panic began: what
// recovered and panicked again on the way is left out, and so is the runtime.
func panicFrames() []panicFrame {
	pcs := make([]uintptr, maxPanicDepth)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var list []panicFrame // innermost first
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			list = list[:0]
		case f.Function == hostFrame:
			more = false
		case len(list) == 0 && strings.HasPrefix(f.Function, "runtime."), f.Function == "":
		default:
			list = append(list, panicFrame{f.File, f.Line, f.Function})
		}
	}
	slices.Reverse(list)
	if over := len(list) - maxPanicFrames; over > 0 {
		list = append(list[:maxPanicFrames/2:maxPanicFrames/2], list[maxPanicFrames/2+over:]...)
	}
	return list
}

// hostFrame is the function that calls the handler.
const hostFrame = "github.com/frontd/frontd/fcgi.(*serverRequest).serve"
