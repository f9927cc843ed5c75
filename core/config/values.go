package config

import (
	"reflect"
	"strings"
)

// Values are the settings that are not empty, by flag.
func (n Node) Values() map[string]any {
	out := map[string]any{}
	v := reflect.ValueOf(n)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ",")
		if name != "-" && !v.Field(i).IsZero() {
			out[name] = v.Field(i).Interface()
		}
	}
	return out
}
