package feed

import "reflect"

// cleaned is an answer with every text in it made fit to be drawn: servers send
// names that anybody chose. What needs nothing is not copied.
func cleaned[T any](v T, clean func(string) string) T {
	if clean == nil {
		return v
	}
	if out, changed := scrub(reflect.ValueOf(v), clean); changed {
		return out.Interface().(T)
	}
	return v
}

// scrub returns a copy of v where a text in it changed, and never writes into v.
func scrub(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	switch v.Kind() {
	case reflect.String:
		if text := clean(v.String()); text != v.String() {
			out := reflect.New(v.Type()).Elem()
			out.SetString(text)
			return out, true
		}
	case reflect.Pointer:
		if in, changed := scrub(v.Elem(), clean); changed {
			out := reflect.New(v.Type().Elem())
			out.Elem().Set(in)
			return out, true
		}
	case reflect.Struct:
		return scrubStruct(v, clean)
	case reflect.Slice:
		return scrubSlice(v, clean)
	case reflect.Map:
		return scrubMap(v, clean)
	}
	return v, false
}

func scrubStruct(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	out, some := v, false
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		in, changed := scrub(v.Field(i), clean)
		if !changed {
			continue
		}
		if !some {
			out, some = reflect.New(v.Type()).Elem(), true
			out.Set(v)
		}
		out.Field(i).Set(in)
	}
	return out, some
}

func scrubSlice(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	out, some := v, false
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return v, false
	}
	for i := range v.Len() {
		in, changed := scrub(v.Index(i), clean)
		if !changed {
			continue
		}
		if !some {
			out, some = reflect.MakeSlice(v.Type(), v.Len(), v.Len()), true
			reflect.Copy(out, v)
		}
		out.Index(i).Set(in)
	}
	return out, some
}

func scrubMap(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	if v.IsNil() {
		return v, false
	}
	out, some := reflect.MakeMapWithSize(v.Type(), v.Len()), false
	for it := v.MapRange(); it.Next(); {
		key, k := scrub(it.Key(), clean)
		value, c := scrub(it.Value(), clean)
		out.SetMapIndex(key, value)
		some = some || k || c
	}
	return out, some
}
