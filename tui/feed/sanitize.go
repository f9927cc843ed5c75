package feed

import "reflect"

// sanitized returns an answer with every text in it sanitized, because users
// choose names freely. Values that need no change are not copied.
func sanitized[T any](v T, clean func(string) string) T {
	if clean == nil {
		return v
	}
	if out, changed := sanitizeValue(reflect.ValueOf(v), clean); changed {
		return out.Interface().(T)
	}
	return v
}

// sanitizeValue returns a copy of v if a text in it changed. It never writes into
// v.
func sanitizeValue(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	switch v.Kind() {
	case reflect.String:
		if text := clean(v.String()); text != v.String() {
			out := reflect.New(v.Type()).Elem()
			out.SetString(text)
			return out, true
		}
	case reflect.Pointer:
		if in, changed := sanitizeValue(v.Elem(), clean); changed {
			out := reflect.New(v.Type().Elem())
			out.Elem().Set(in)
			return out, true
		}
	case reflect.Struct:
		return sanitizeStruct(v, clean)
	case reflect.Slice:
		return sanitizeSlice(v, clean)
	case reflect.Map:
		return sanitizeMap(v, clean)
	}
	return v, false
}

func sanitizeStruct(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	out, copied := v, false
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		in, changed := sanitizeValue(v.Field(i), clean)
		if !changed {
			continue
		}
		if !copied {
			out, copied = reflect.New(v.Type()).Elem(), true
			out.Set(v)
		}
		out.Field(i).Set(in)
	}
	return out, copied
}

func sanitizeSlice(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	out, copied := v, false
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return v, false
	}
	for i := range v.Len() {
		in, changed := sanitizeValue(v.Index(i), clean)
		if !changed {
			continue
		}
		if !copied {
			out, copied = reflect.MakeSlice(v.Type(), v.Len(), v.Len()), true
			reflect.Copy(out, v)
		}
		out.Index(i).Set(in)
	}
	return out, copied
}

func sanitizeMap(v reflect.Value, clean func(string) string) (reflect.Value, bool) {
	if v.IsNil() {
		return v, false
	}
	out, changed := reflect.MakeMapWithSize(v.Type(), v.Len()), false
	for it := v.MapRange(); it.Next(); {
		key, keyChanged := sanitizeValue(it.Key(), clean)
		value, valueChanged := sanitizeValue(it.Value(), clean)
		out.SetMapIndex(key, value)
		changed = changed || keyChanged || valueChanged
	}
	return out, changed
}
