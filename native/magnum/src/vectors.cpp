#include "bindings.hpp"
#include "convert.hpp"
#include "format.hpp"

namespace {

using namespace Magnum::Math;

constexpr const char* Axes = "xyzw";
constexpr const char* Channels = "rgba";

std::size_t checked_index(Py_ssize_t i, std::size_t size) {
    if (i < 0) i += Py_ssize_t(size);
    if (i < 0 || std::size_t(i) >= size) throw py::index_error("vector has " + std::to_string(size) + " components");
    return std::size_t(i);
}

template <class V, std::size_t i> void component(py::class_<V>& cls, const char* name) {
    typedef typename V::Scalar T;
    cls.def_property(name, [](const V& v) { return v[i]; }, [](V& v, T value) { v[i] = value; });
}

/// The first N components as one vector, readable and writable.
template <class V, class Part> void leading(py::class_<V>& cls, const char* name) {
    cls.def_property(
        name,
        [](const V& v) {
            Part out;
            for (std::size_t i = 0; i < Part::Size; ++i) out[i] = v[i];
            return out;
        },
        [](V& v, const Part& part) {
            for (std::size_t i = 0; i < Part::Size; ++i) v[i] = part[i];
        });
}

/// `vector.zxy`, `color.bgr`: any two to four components by name.
template <class V> py::object swizzle(const V& v, const std::string& name) {
    typedef typename V::Scalar T;
    T out[4]{};
    const std::size_t count = name.size();
    bool known = count >= 2 && count <= 4;
    for (std::size_t i = 0; known && i < count; ++i) {
        const char* at = std::strchr(Axes, name[i]);
        std::size_t index = at ? at - Axes : 4;
        if (!at && (at = std::strchr(Channels, name[i]))) index = at - Channels;
        known = index < V::Size;
        if (known) out[i] = v[index];
    }
    if (!known) throw py::attribute_error("vector has no attribute '" + name + "'");
    if (count == 2) return py::cast(Vector2<T>(out[0], out[1]));
    if (count == 3) return py::cast(Vector3<T>(out[0], out[1], out[2]));
    return py::cast(Vector4<T>(out[0], out[1], out[2], out[3]));
}

/// Everything whose result has the class of its operand, hence bound again for colours.
template <class V, class... Rest> void arithmetic(py::class_<V, Rest...>& cls) {
    typedef typename V::Scalar T;
    cls.def("__neg__", [](const V& a) { return map(a, [](T x) { return -x; }); })
        .def("__add__", [](const V& a, const V& b) { return a + b; }, py::is_operator())
        .def("__radd__", [](const V& a, const V& b) { return b + a; }, py::is_operator())
        .def("__sub__", [](const V& a, const V& b) { return a - b; }, py::is_operator())
        .def("__rsub__", [](const V& a, const V& b) { return b - a; }, py::is_operator())
        .def("__mul__", [](const V& a, const V& b) { return map(a, b, [](T x, T y) { return x * y; }); }, py::is_operator())
        .def("__mul__", [](const V& a, T s) { return a * s; }, py::is_operator())
        .def("__rmul__", [](const V& a, T s) { return a * s; }, py::is_operator());
    if constexpr (std::is_floating_point_v<T>) {
        cls.def("__truediv__", [](const V& a, const V& b) { return map(a, b, [](T x, T y) { return x / y; }); }, py::is_operator())
            .def("__truediv__", [](const V& a, T s) { return map(a, [s](T x) { return x / s; }); }, py::is_operator())
            .def("__rtruediv__", [](const V& a, T s) { return map(a, [s](T x) { return s / x; }); }, py::is_operator())
            .def("normalized", [](const V& a) { return normalized(a); })
            .def("resized", [](const V& a, T length_) { return a * (length_ / length(a)); }, py::arg("length"))
            .def("projected", [](const V& a, const V& line) { return line * (dot(a, line) / dot(line, line)); }, py::arg("line"))
            .def("projected_onto_normalized", [](const V& a, const V& line) { return line * dot(a, line); }, py::arg("line"));
    } else {
        auto divide = [](T x, T y) {
            if (y == T(0)) {
                PyErr_SetString(PyExc_ZeroDivisionError, "integer vector division by zero");
                throw py::error_already_set();
            }
            return T(x / y);
        };
        cls.def("__floordiv__", [divide](const V& a, const V& b) { return map(a, b, divide); }, py::is_operator())
            .def("__floordiv__", [divide](const V& a, T s) { return map(a, [&](T x) { return divide(x, s); }); }, py::is_operator());
    }
    cls.def_static("zero_init", [] { return V(); })
        .def("__repr__", [](const V& v) { return "Vector(" + format::joined(v, V::Size) + ")"; });
}

template <class V, class... Rest> void constructible(py::class_<V, Rest...>& cls) {
    typedef typename V::Scalar T;
    cls.def(py::init<>()).def(py::init<const V&>()).def(py::init<T>(), py::arg("value"));
    if constexpr (V::Size == 2) cls.def(py::init<T, T>(), py::arg("x"), py::arg("y"));
    if constexpr (V::Size == 3)
        cls.def(py::init<T, T, T>(), py::arg("x"), py::arg("y"), py::arg("z"))
            .def(py::init<const Vector2<T>&, T>(), py::arg("xy"), py::arg("z"));
}

template <class V> py::class_<V> bind(py::module_& m, const char* name, const char* doc) {
    typedef typename V::Scalar T;
    py::class_<V> cls(m, name, py::buffer_protocol(), doc);
    constructible(cls);
    if constexpr (V::Size == 4)
        cls.def(py::init<T, T, T, T>(), py::arg("x"), py::arg("y"), py::arg("z"), py::arg("w"))
            .def(py::init<const Vector3<T>&, T>(), py::arg("xyz"), py::arg("w"));

    component<V, 0>(cls, "x");
    component<V, 1>(cls, "y");
    if constexpr (V::Size > 2) component<V, 2>(cls, "z"), leading<V, Vector2<T>>(cls, "xy");
    if constexpr (V::Size > 3) component<V, 3>(cls, "w"), leading<V, Vector3<T>>(cls, "xyz");

    arithmetic(cls);
    cls.def_buffer([](V& v) { return py::buffer_info(v.data(), Py_ssize_t(V::Size)); })
        .def("__len__", [](const V&) { return V::Size; })
        .def("__getitem__", [](const V& v, Py_ssize_t i) { return v[checked_index(i, V::Size)]; })
        .def("__setitem__", [](V& v, Py_ssize_t i, T value) { v[checked_index(i, V::Size)] = value; })
        .def("__getattr__", swizzle<V>)
        .def("__eq__", [](const V& a, const V& b) { return vectors_equal(a, b); }, py::is_operator())
        .def("__ne__", [](const V& a, const V& b) { return !vectors_equal(a, b); }, py::is_operator())
        .def("dot", [](const V& v) { return dot(v, v); }, "Squared length")
        .def("is_zero", [](const V& v) { return vectors_equal(v, V()); })
        .def("sum", [](const V& v) { return dot(v, V(T(1))); })
        .def("product", [](const V& v) {
            T out = T(1);
            for (std::size_t i = 0; i < V::Size; ++i) out *= v[i];
            return out;
        })
        .def("min", [](const V& v) { return *std::min_element(v.data(), v.data() + V::Size); })
        .def("max", [](const V& v) { return *std::max_element(v.data(), v.data() + V::Size); })
        .def("minmax", [](const V& v) {
            const auto found = std::minmax_element(v.data(), v.data() + V::Size);
            return py::make_tuple(*found.first, *found.second);
        })
        .def("flipped", [](V v) { return std::reverse(v.data(), v.data() + V::Size), v; });
    if constexpr (std::is_floating_point_v<T>)
        cls.def("length", [](const V& v) { return length(v); })
            .def("length_inverted", [](const V& v) { return T(1) / length(v); })
            .def("is_normalized", [](const V& v) { return is_unit(dot(v, v)); });

    if constexpr (V::Size < 4) {
        const char* axes[] = {"x_axis", "y_axis", "z_axis"};
        const char* scales[] = {"x_scale", "y_scale", "z_scale"};
        for (std::size_t axis = 0; axis < V::Size; ++axis) {
            cls.def_static(axes[axis], [axis](T length_) {
                V v;
                v[axis] = length_;
                return v;
            }, py::arg("length") = T(1));
            cls.def_static(scales[axis], [axis](T scale) {
                V v(T(1));
                v[axis] = scale;
                return v;
            }, py::arg("scale"));
        }
    }
    convert::implicitly_convertible<V>();
    convert::copyable(cls);
    return cls;
}

/// Explicit conversion between scalar types: Vector3d(Vector3(1, 2, 3)).
template <class To, class From, class... Rest> void from_scalar(py::class_<To, Rest...>& cls) {
    cls.def(py::init([](const From& other) { return To(other); }), py::arg("other"));
}

template <template <class> class V> void bind_family(py::module_& m, const std::string& name) {
    auto f = bind<V<float>>(m, name.c_str(), "Vector of single-precision floats");
    auto d = bind<V<double>>(m, (name + "d").c_str(), "Vector of double-precision floats");
    auto i = bind<V<Magnum::Int>>(m, (name + "i").c_str(), "Vector of 32-bit signed integers");
    auto u = bind<V<Magnum::UnsignedInt>>(m, (name + "ui").c_str(), "Vector of 32-bit unsigned integers");
    from_scalar<V<float>, V<double>>(f), from_scalar<V<float>, V<Magnum::Int>>(f), from_scalar<V<float>, V<Magnum::UnsignedInt>>(f);
    from_scalar<V<double>, V<float>>(d), from_scalar<V<double>, V<Magnum::Int>>(d), from_scalar<V<double>, V<Magnum::UnsignedInt>>(d);
    from_scalar<V<Magnum::Int>, V<float>>(i), from_scalar<V<Magnum::Int>, V<double>>(i), from_scalar<V<Magnum::Int>, V<Magnum::UnsignedInt>>(i);
    from_scalar<V<Magnum::UnsignedInt>, V<float>>(u), from_scalar<V<Magnum::UnsignedInt>, V<double>>(u), from_scalar<V<Magnum::UnsignedInt>, V<Magnum::Int>>(u);
}

typedef Color3<float> RGB;
typedef Color4<float> RGBA;

/// Hue in degrees, saturation and value in [0, 1].
RGB from_hsv(Deg<double> hue, float saturation, float value) {
    const float h = float(std::fmod(std::fmod(hue.value(), 360.0) + 360.0, 360.0) / 60.0);
    auto channel = [&](float offset) {
        const float k = std::fmod(offset + h, 6.0f);
        return value - value * saturation * std::max(0.0f, std::min({k, 4.0f - k, 1.0f}));
    };
    return RGB(channel(5), channel(3), channel(1));
}

float srgb_to_linear(float x) { return x <= 0.04045f ? x / 12.92f : std::pow((x + 0.055f) / 1.055f, 2.4f); }
float linear_to_srgb(float x) { return x <= 0.0031308f ? x * 12.92f : 1.055f * std::pow(x, 1.0f / 2.4f) - 0.055f; }

template <class C> C srgb_decoded(C c) {
    for (std::size_t i = 0; i < 3; ++i) c[i] = srgb_to_linear(c[i]);
    return c;
}

RGB rgb_of(unsigned value) { return RGB(float(value >> 16 & 255) / 255, float(value >> 8 & 255) / 255, float(value & 255) / 255); }

template <class C> unsigned packed(C c, bool srgb) {
    unsigned out = 0;
    for (std::size_t i = 0; i < C::Size; ++i) {
        const float x = srgb && i < 3 ? linear_to_srgb(c[i]) : c[i];
        out = out << 8 | unsigned(std::lround(std::min(std::max(x, 0.0f), 1.0f) * 255));
    }
    return out;
}

template <class C, class... Rest> void color_common(py::class_<C, Rest...>& cls) {
    arithmetic(cls);
    const char* names[] = {"r", "g", "b", "a"};
    for (std::size_t i = 0; i < C::Size; ++i)
        cls.def_property(names[i], [i](const C& c) { return c[i]; }, [i](C& c, float value) { c[i] = value; });
    cls.def_property_readonly("rgb", [](const C& c) { return RGB(c[0], c[1], c[2]); })
        .def("to_srgb_int", [](const C& c) { return packed(c, true); })
        .def("to_linear_rgb_int", [](const C& c) { return packed(c, false); });
    convert::implicitly_convertible<C>();
    convert::copyable(cls);
}

void bind_colors(py::module_& m) {
    py::class_<RGB, Vector3<float>> color3(m, "Color3", py::buffer_protocol(), "Linear RGB colour");
    constructible(color3);
    color3.def(py::init<const Vector3<float>&>(), py::arg("rgb"));
    color_common(color3);

    py::class_<RGBA, Vector4<float>> color4(m, "Color4", py::buffer_protocol(), "Linear RGBA colour");
    color4.def(py::init<>())
        .def(py::init<const RGBA&>())
        .def(py::init<const Vector4<float>&>(), py::arg("rgba"))
        .def(py::init<float, float>(), py::arg("value"), py::arg("alpha") = 1.0f)
        .def(py::init<float, float, float, float>(), py::arg("r"), py::arg("g"), py::arg("b"), py::arg("alpha") = 1.0f)
        .def(py::init<const Vector3<float>&, float>(), py::arg("rgb"), py::arg("alpha") = 1.0f);
    color_common(color4);
    py::implicitly_convertible<Vector3<float>, RGB>();
    py::implicitly_convertible<Vector3<float>, RGBA>();
    py::implicitly_convertible<Vector4<float>, RGBA>();

    struct Primary { const char* name; bool r, g, b; };
    for (const Primary p : {Primary{"red", 1, 0, 0}, {"green", 0, 1, 0}, {"blue", 0, 0, 1}, {"cyan", 0, 1, 1}, {"magenta", 1, 0, 1}, {"yellow", 1, 1, 0}}) {
        // The primaries take the strength of their lit channels; cyan and its kin that of the unlit one.
        const bool mixed = p.r + p.g + p.b == 2;
        auto make = [p, mixed](float x) {
            const float lit = mixed ? 1.0f : x, unlit = mixed ? x : 0.0f;
            return RGB(p.r ? lit : unlit, p.g ? lit : unlit, p.b ? lit : unlit);
        };
        const float strength = mixed ? 0.0f : 1.0f;
        color3.def_static(p.name, make, py::arg("strength") = strength);
        color4.def_static(p.name, [make](float x, float alpha) { return RGBA(make(x), alpha); },
                          py::arg("strength") = strength, py::arg("alpha") = 1.0f);
    }
    color3.def_static("from_hsv", from_hsv, py::arg("hue"), py::arg("saturation"), py::arg("value"))
        .def_static("from_srgb", [](unsigned v) { return srgb_decoded(rgb_of(v)); }, py::arg("srgb"))
        .def_static("from_linear_rgb_int", rgb_of, py::arg("linear"));
    color4.def_static("from_hsv", [](Deg<double> h, float s, float v, float a) { return RGBA(from_hsv(h, s, v), a); },
                      py::arg("hue"), py::arg("saturation"), py::arg("value"), py::arg("alpha") = 1.0f)
        .def_static("from_srgb", [](unsigned v, float a) { return RGBA(srgb_decoded(rgb_of(v)), a); }, py::arg("srgb"), py::arg("alpha") = 1.0f)
        .def_static("from_linear_rgb_int", [](unsigned v, float a) { return RGBA(rgb_of(v), a); }, py::arg("linear"), py::arg("alpha") = 1.0f);
}

}  // namespace

void bindings::vectors(py::module_& m) {
    bind_family<Vector2>(m, "Vector2");
    bind_family<Vector3>(m, "Vector3");
    bind_family<Vector4>(m, "Vector4");
    // The simulator's colour maps are made of these.
    bind<Vector3<Magnum::UnsignedByte>>(m, "Vector3ub", "Vector of bytes");
    bind_colors(m);
}
