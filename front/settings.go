package front

import "time"

// Settings are the limits and habits in force for one request. Durations of 0
// and sizes below 0 mean no limit.
type Settings struct {
	// MaxBody bounds the request's body, in bytes; below 0: unbounded.
	// Over it the answer is 413, body-too-large.
	MaxBody int64
	// Spool holds the whole body back before a worker is taken, so that
	// CONTENT_LENGTH is always known and no slow client holds a worker.
	Spool bool

	QueueTimeout     time.Duration // waiting for a free worker; over it 503, queue-timeout
	RequestTimeout   time.Duration // a worker's whole time; over it 504, request-timeout
	FirstByteTimeout time.Duration // a worker's time to the head of its answer; over it 504
	Slow             time.Duration // a worker's time until Gateway.Slow tells of the request

	// BodyIdle bounds the wait for the next bytes of a body, and after
	// BodyGrace it must have come at BodyMinRate bytes a second on the whole.
	// Else 408, too-slow.
	BodyIdle    time.Duration
	BodyGrace   time.Duration
	BodyMinRate int64

	// SendTimeout bounds each write to the client: one that takes nothing for
	// so long is cut off, too-slow in the log.
	SendTimeout time.Duration

	// ResponseBuffer and ResponseFile are how much of an answer, in bytes of
	// memory and behind them in an unnamed file, is taken off a worker ahead of
	// the client, so that a slow client does not hold the worker. Workers with
	// flow control of their own need neither. What goes to a file: see pace.
	ResponseBuffer, ResponseFile int64

	// ShowErrors shows the client why a request failed: development only. A page
	// of all that is known then also stands in the place of an application's own
	// answer of 5xx, for a client that prefers HTML and gets no other from it.
	ShowErrors bool
	// ErrorPages are the application's own for failures that the front answers;
	// nil: none. With ShowErrors they are not used.
	ErrorPages *ErrorPages
}

var defaultSettings = Settings{
	MaxBody:        64 << 20,
	QueueTimeout:   5 * time.Second,
	RequestTimeout: 60 * time.Second,
	BodyIdle:       30 * time.Second,
	BodyGrace:      20 * time.Second,
	BodyMinRate:    240,
	SendTimeout:    60 * time.Second,
	ResponseBuffer: 256 << 10,
	ResponseFile:   1 << 30,
}

// DefaultSettings returns what is in force where nothing is set.
func DefaultSettings() Settings { return defaultSettings }

// An Override is what one level of the configuration sets: a nil field leaves
// the less specific level's value, and a zero is a value like any other.
type Override struct {
	MaxBody          *int64
	Spool            *bool
	QueueTimeout     *time.Duration
	RequestTimeout   *time.Duration
	FirstByteTimeout *time.Duration
	Slow             *time.Duration
	BodyIdle         *time.Duration
	BodyGrace        *time.Duration
	BodyMinRate      *int64
	SendTimeout      *time.Duration
	ResponseBuffer   *int64
	ResponseFile     *int64
	ShowErrors       *bool
	ErrorPages       **ErrorPages
}

// With returns s with what the overrides set, the last being the most
// specific: server.With(app, route).
func (s Settings) With(overrides ...Override) Settings {
	for _, o := range overrides {
		take(&s.MaxBody, o.MaxBody)
		take(&s.Spool, o.Spool)
		take(&s.QueueTimeout, o.QueueTimeout)
		take(&s.RequestTimeout, o.RequestTimeout)
		take(&s.FirstByteTimeout, o.FirstByteTimeout)
		take(&s.Slow, o.Slow)
		take(&s.BodyIdle, o.BodyIdle)
		take(&s.BodyGrace, o.BodyGrace)
		take(&s.BodyMinRate, o.BodyMinRate)
		take(&s.SendTimeout, o.SendTimeout)
		take(&s.ResponseBuffer, o.ResponseBuffer)
		take(&s.ResponseFile, o.ResponseFile)
		take(&s.ShowErrors, o.ShowErrors)
		take(&s.ErrorPages, o.ErrorPages)
	}
	return s
}

func take[T any](dst *T, set *T) {
	if set != nil {
		*dst = *set
	}
}
