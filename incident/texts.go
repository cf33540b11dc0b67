package incident

// texts are those whose incident is known, by their key: the same words again
// need no reading. What has not come for long makes room, so that a storm of
// texts that come once does not hide those that come again and again.
type texts struct {
	recent, before map[uint64]string // ids; each at most half of maxKnown
}

// noIncident is the id of a text that tells of no error.
const noIncident = "-"

// id returns the incident of a text, "" if it is not known.
func (t *texts) id(key uint64) string {
	if id, ok := t.recent[key]; ok {
		return id
	}
	id, ok := t.before[key]
	if ok {
		t.learn(key, id)
	}
	return id
}

func (t *texts) learn(key uint64, id string) {
	if len(t.recent) >= maxKnown/2 || t.recent == nil {
		t.before, t.recent = t.recent, make(map[uint64]string)
	}
	t.recent[key] = id
}

func (t *texts) forget() { *t = texts{} }
