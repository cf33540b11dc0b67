package incident

import (
	"regexp"
	"slices"
	"strings"
)

var (
	goPanic     = regexp.MustCompile(`(?m)^(?:.*: )?(panic: |fatal error: |fcgi: panic in handler: |http: panic serving \S+: )(.*)$`)
	goSignal    = regexp.MustCompile(`(?m)^(SIG[A-Z]+): (.*)$`)
	goroutine   = regexp.MustCompile(`^goroutine \d+ (?:gp=\S+ )?(?:m=\S+ )?(?:mp=\S+ )?\[[^\]]*\]:$`)
	goPlace     = regexp.MustCompile(`^\t(.+):(\d+)(?: \+0x[0-9a-f]+)?(?: fp=.*)?$`)
	goArguments = regexp.MustCompile(`\((?:0x[0-9a-f?]|\.\.\.|\{|\)|_|\?)[^()]*\)?$|\(\)$`)
)

// parseGo reads a panic, a fatal error of the runtime or a signal, and the
// stack of the goroutine it met. Others' stacks stay as they are.
func parseGo(text string) *Traceback {
	at := goPanic.FindStringSubmatchIndex(text)
	t := &Traceback{Language: "go"}
	switch {
	case at != nil:
		t.Type = strings.TrimSuffix(strings.TrimSpace(text[at[2]:at[3]]), ":")
		t.Message = text[at[4]:at[5]]
	default:
		if at = goSignal.FindStringSubmatchIndex(text); at == nil {
			return nil
		}
		t.Type, t.Message = text[at[2]:at[3]], text[at[4]:at[5]]
	}
	if t.Type != "fatal error" && !strings.HasPrefix(t.Type, "SIG") {
		t.Type = "panic"
	}
	if m, ok := strings.CutPrefix(t.Message, "runtime error: "); ok {
		t.Type, t.Message = "runtime error", m
	}
	ls := lines(text[at[1]:])
	i := slices.IndexFunc(ls, goroutine.MatchString)
	if i < 0 {
		return nil // any program may write "panic: "
	}
	t.Notes = strings.TrimSpace(strings.Join(ls[:min(i, maxNoteLine)], "\n"))
	t.Frames = goFrames(ls[i+1:])
	return t
}

// goFrames reads one goroutine's stack, to its outermost call first, without
// the runtime's own frames at the inner end.
func goFrames(ls []string) []Frame {
	var list []Frame
	for i := 0; i+1 < len(ls) && ls[i] != "" && len(list) < 1000; i++ {
		m := goPlace.FindStringSubmatch(ls[i+1])
		if m == nil {
			continue // "...additional frames elided..."
		}
		name := ls[i]
		if from, ok := strings.CutPrefix(name, "created by "); ok {
			name, _, _ = strings.Cut(from, " in goroutine ")
		} else {
			name = goArguments.ReplaceAllString(name, "")
		}
		list = append(list, Frame{File: m[1], Line: number(m[2]), Function: name})
		i++
	}
	if i := lastIndex(list, func(f Frame) bool { return f.Function == "panic" }); i >= 0 {
		list = list[i+1:]
	}
	for len(list) > 1 && (strings.HasPrefix(list[0].Function, "runtime.") || strings.HasPrefix(list[0].Function, "runtime/debug.")) {
		list = list[1:]
	}
	list = slices.Clip(list)
	slices.Reverse(list)
	return list
}

func lastIndex[T any](list []T, is func(T) bool) int {
	for i, v := range slices.Backward(list) {
		if is(v) {
			return i
		}
	}
	return -1
}
