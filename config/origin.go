package config

import "strings"

// An Origin is where a setting of a route comes from.
type Origin struct {
	Section string // "route", "app.NAME", "server", or "default"
	Pos     Pos    // zero where nothing set it
}

// Origin returns where a setting that holds for a route was set: a dotted key
// of a table, or a table's own.
func (c *Config) Origin(r *Route, key string) Origin {
	if pos, ok := r.Set.at(key); ok {
		return Origin{"route", pos}
	}
	if a := c.App(r.App); a != nil {
		if pos, ok := a.Set.at(key); ok {
			return Origin{"app." + a.Name, pos}
		}
	}
	if pos, ok := c.Server.Set.at(key); ok && (isLimit(key) || isStage(key) || isStageTable(key) || isSession(key) || key == "session") {
		return Origin{"server", pos}
	}
	return Origin{Section: "default"}
}

func isStageTable(key string) bool { return find(stageKeys, key) != nil }

// at returns where a key was set, or the first key of the table that it is.
func (s Set) at(key string) (Pos, bool) {
	if pos, ok := s[key]; ok {
		return pos, true
	}
	var first Pos
	for k, pos := range s {
		if strings.HasPrefix(k, key+".") && (first == (Pos{}) || pos.Line < first.Line || pos.Line == first.Line && pos.Column < first.Column) {
			first = pos
		}
	}
	return first, first != (Pos{})
}
