#include "bindings.hpp"
#include "convert.hpp"
#include "dual_attribute.hpp"
#include "format.hpp"

namespace {

using namespace Magnum::Math;

template <class M> using ColumnOf = typename NamedVector<M::Size, typename M::Scalar>::Type;

template <class M> std::size_t checked_index(Py_ssize_t i) {
    if (i < 0) i += Py_ssize_t(M::Size);
    if (i < 0 || std::size_t(i) >= M::Size)
        throw py::index_error("matrix has " + std::to_string(M::Size) + " columns and rows");
    return std::size_t(i);
}

template <class M> std::string repr(const M& m) {
    std::string out = "Matrix(";
    for (std::size_t row = 0; row < M::Size; ++row) {
        if (row) out += ",\n       ";
        out += format::joined(transposed(m)[row], M::Size);
    }
    return out + ")";
}

template <class M> M inverted(const M& m) {
    M out;
    if (invert(m, out) == typename M::Scalar(0)) throw py::value_error("the matrix is singular, it has no inverse");
    return out;
}

template <class M> void require(bool holds, const char* what, const M& m) {
    if (!holds) throw py::value_error(std::string("the matrix is not ") + what + ":\n" + repr(m));
}

/// Element by element.
template <class M, class F> M each(const M& m, F&& function) {
    M out;
    for (std::size_t i = 0; i < M::Size * M::Size; ++i) out.data()[i] = function(m.data()[i]);
    return out;
}
template <class M, class F> M each(const M& a, const M& b, F&& function) {
    M out;
    for (std::size_t i = 0; i < M::Size * M::Size; ++i) out.data()[i] = function(a.data()[i], b.data()[i]);
    return out;
}

template <class M> M of_columns(std::initializer_list<ColumnOf<M>> columns) {
    M out;
    std::size_t i = 0;
    for (const auto& column : columns) out[i++] = column;
    return out;
}

template <class V> void require_unit(const V& axis, const char* what) {
    if (!is_unit(dot(axis, axis))) throw py::value_error(std::string(what) + " must have unit length");
}

/// What any square matrix has. M is the class bound, also when these are bound again for a derived one.
template <class M, class... Rest> void square(py::class_<M, Rest...>& cls) {
    typedef typename M::Scalar T;
    typedef ColumnOf<M> Column;
    cls.def(py::init<>())
        .def(py::init<const M&>())
        .def(py::init<T>(), py::arg("diagonal"))
        .def_static(
            "identity_init", [](T value) { return M(value); }, py::arg("value") = T(1))
        .def_static("zero_init", [] { return M(T(0)); })
        .def_static(
            "from_diagonal",
            [](const Column& diagonal) {
                M out;
                for (std::size_t i = 0; i < M::Size; ++i) out[i][i] = diagonal[i];
                return out;
            },
            py::arg("diagonal"))
        .def("__neg__", [](const M& m) { return each(m, [](T x) { return -x; }); })
        .def(
            "__add__", [](const M& a, const M& b) { return each(a, b, [](T x, T y) { return x + y; }); },
            py::is_operator())
        .def(
            "__sub__", [](const M& a, const M& b) { return each(a, b, [](T x, T y) { return x - y; }); },
            py::is_operator())
        .def(
            "__mul__", [](const M& m, T s) { return each(m, [s](T x) { return x * s; }); }, py::is_operator())
        .def(
            "__rmul__", [](const M& m, T s) { return each(m, [s](T x) { return x * s; }); }, py::is_operator())
        .def(
            "__truediv__", [](const M& m, T s) { return each(m, [s](T x) { return x / s; }); }, py::is_operator())
        .def(
            "__matmul__", [](const M& a, const M& b) { return multiply(a, b); }, py::is_operator())
        .def(
            "__matmul__", [](const M& a, const Column& b) { return multiply_vector(a, b); }, py::is_operator())
        .def("transposed", [](const M& m) { return transposed(m); })
        .def("inverted", inverted<M>)
        .def("inverted_orthogonal", [](const M& m) {
            require(is_orthogonal(m), "orthogonal", m);
            return transposed(m);
        });
    // A type that has __getitem__ and __len__ is converted to arrays by its buffer, in [row, column] order.
    cls.def_buffer([](M& m) {
        return py::buffer_info(m.data(), sizeof(T), py::format_descriptor<T>::format(), 2, {M::Size, M::Size},
                               {sizeof(T), sizeof(T) * M::Size});
    });
    convert::implicitly_convertible<M>();
    convert::copyable(cls);
}

template <class M> py::class_<M> bind_square(py::module_& m, const char* name) {
    typedef typename M::Scalar T;
    typedef ColumnOf<M> Column;
    py::class_<M> cls(m, name, py::buffer_protocol(), "Square matrix, column-major");
    square(cls);
    cls.def("__len__", [](const M&) { return M::Size; })
        .def("__getitem__", [](const M& m, Py_ssize_t column) { return named(m[checked_index<M>(column)]); })
        .def(
            "__getitem__",
            [](const M& m, std::pair<Py_ssize_t, Py_ssize_t> at) {
                return m[checked_index<M>(at.first)][checked_index<M>(at.second)];
            },
            "Element by [column, row]")
        .def("__setitem__", [](M& m, Py_ssize_t column, const Column& value) { m[checked_index<M>(column)] = value; })
        .def("__setitem__", [](M& m, std::pair<Py_ssize_t, Py_ssize_t> at,
                               T value) { m[checked_index<M>(at.first)][checked_index<M>(at.second)] = value; })
        .def(
            "__eq__", [](const M& a, const M& b) { return matrices_equal(a, b); }, py::is_operator())
        .def(
            "__ne__", [](const M& a, const M& b) { return !matrices_equal(a, b); }, py::is_operator())
        .def("__repr__", repr<M>)
        .def("diagonal",
             [](const M& m) {
                 Column out;
                 for (std::size_t i = 0; i < M::Size; ++i) out[i] = m[i][i];
                 return out;
             })
        .def("trace",
             [](const M& m) {
                 T out{};
                 for (std::size_t i = 0; i < M::Size; ++i) out += m[i][i];
                 return out;
             })
        .def("determinant",
             [](const M& m) {
                 M unused;
                 return invert(m, unused);
             })
        .def("is_orthogonal", [](const M& m) { return is_orthogonal(m); });
    return cls;
}

/// Constructor from columns: Matrix4((x, y, z, w), ...), also as one tuple or list.
template <class M, class... Rest> void from_columns(py::class_<M, Rest...>& cls) {
    typedef const ColumnOf<M>& Column;
    if constexpr (M::Size == 3)
        cls.def(py::init([](Column a, Column b, Column c) { return of_columns<M>({a, b, c}); }));
    if constexpr (M::Size == 4)
        cls.def(py::init([](Column a, Column b, Column c, Column d) { return of_columns<M>({a, b, c, d}); }));
}

template <class Getter, class Setter> py::object property(Getter getter, Setter setter) {
    return py::reinterpret_steal<py::object>(PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(&PyProperty_Type),
                                                                          getter.ptr(), setter.ptr(), nullptr));
}

/// A function of an instance that binds its first argument, as `cls.def` would make.
template <class M, class F> py::object method(py::handle cls, const char* name, F&& function) {
    return py::reinterpret_steal<py::object>(
        PyInstanceMethod_New(py::cpp_function(std::forward<F>(function), py::name(name), py::is_method(cls)).ptr()));
}

void class_and_instance(py::handle cls, const char* name, const py::object& on_class, const py::object& on_instance) {
    if (dual_attribute::define(cls.ptr(), name, on_class.ptr(), on_instance.ptr()) != 0) throw py::error_already_set();
}

/// Homogeneous transformations: Matrix4 in 3D, Matrix3 in 2D.
template <class M, class... Rest> void transformation(py::class_<M, Rest...>& cls) {
    typedef typename M::Scalar T;
    typedef decltype(linear_part(M())) Linear;
    typedef decltype(translation_part(M())) V;
    constexpr std::size_t last = M::Size - 1;

    cls.def_static(
           "from_", [](const Linear& linear, const V& translation) { return compose<M>(linear, translation); },
           py::arg("rotation_scaling"), py::arg("translation"))
        .def_static(
            "reflection",
            [](const V& normal) {
                require_unit(normal, "the normal of a reflection");
                Linear out;
                for (std::size_t c = 0; c < Linear::Size; ++c)
                    for (std::size_t r = 0; r < Linear::Size; ++r) out[c][r] -= T(2) * normal[c] * normal[r];
                return compose<M>(out, V());
            },
            py::arg("normal"))
        .def("rotation_scaling", [](const M& m) { return linear_part(m); })
        .def("rotation_shear", [](const M& m) { return columns_normalized(linear_part(m)); })
        .def("rotation_normalized",
             [](const M& m) {
                 require(is_orthogonal(linear_part(m)), "a normalized rotation", m);
                 return linear_part(m);
             })
        .def("scaling_squared",
             [](const M& m) {
                 const auto s = column_scaling(linear_part(m));
                 return map(s, s, [](T a, T b) { return a * b; });
             })
        .def("uniform_scaling",
             [](const M& m) {
                 const auto s = column_scaling(linear_part(m));
                 require(vectors_equal(s, decltype(s)(s[0])), "uniformly scaled", m);
                 return s[0];
             })
        .def("is_rigid_transformation",
             [](const M& m) {
                 for (std::size_t i = 0; i < last; ++i)
                     if (m[i][last] != T(0)) return false;
                 return m[last][last] == T(1) && is_orthogonal(linear_part(m));
             })
        .def("inverted_rigid",
             [](const M& m) {
                 const Linear linear = linear_part(m);
                 require(is_orthogonal(linear), "a rigid transformation", m);
                 const Linear inverse = transposed(linear);
                 return compose<M>(inverse, multiply_vector(inverse, translation_part(m)) * T(-1));
             })
        .def(
            "transform_vector", [](const M& m, const V& v) { return multiply_vector(linear_part(m), v); },
            py::arg("vector"))
        .def(
            "transform_point",
            [](const M& m, const V& v) {
                T w = m[last][last];
                for (std::size_t i = 0; i < last; ++i) w += m[i][last] * v[i];
                const V moved = multiply_vector(linear_part(m), v) + translation_part(m);
                return w == T(1) ? moved : map(moved, [w](T x) { return x / w; });
            },
            py::arg("vector"));

    const char* axes[] = {"right", "up", "backward"};
    for (std::size_t axis = 0; axis < last; ++axis)
        cls.def_property(
            axes[axis],
            [axis](const M& m) {
                V out;
                for (std::size_t i = 0; i < last; ++i) out[i] = m[axis][i];
                return out;
            },
            [axis](M& m, const V& v) {
                for (std::size_t i = 0; i < last; ++i) m[axis][i] = v[i];
            });

    class_and_instance(cls, "translation",
                       py::cpp_function([](const V& v) { return compose<M>(Linear(), v); }, py::name("translation"),
                                        py::arg("vector")),
                       property(py::cpp_function([](const M& m) { return translation_part(m); }),
                                py::cpp_function([](M& m, const V& v) {
                                    for (std::size_t i = 0; i < last; ++i) m[last][i] = v[i];
                                })));
    class_and_instance(cls, "scaling",
                       py::cpp_function(
                           [](const V& v) {
                               M out;
                               for (std::size_t i = 0; i < last; ++i) out[i][i] = v[i];
                               return out;
                           },
                           py::name("scaling"), py::arg("vector")),
                       method<M>(cls, "scaling", [](const M& m) { return column_scaling(linear_part(m)); }));
}

/// The rotation part of an instance, its scaling divided out; shear is refused.
template <class M> auto rotation_of(const M& m) {
    const auto out = columns_normalized(linear_part(m));
    require(is_orthogonal(out), "free of shear", m);
    return out;
}

/// Turns axis `from` towards axis `to`.
template <class M> M rotation_in_plane(std::size_t from, std::size_t to, Rad<double> angle) {
    typedef typename M::Scalar T;
    const T sine = T(std::sin(angle.value())), cosine = T(std::cos(angle.value()));
    M out;
    out[from][from] = cosine, out[from][to] = sine, out[to][from] = -sine, out[to][to] = cosine;
    return out;
}

/// OpenGL's clip space. `size` is the near plane's; an infinite far plane is allowed.
template <class M, class T = typename M::Scalar> M perspective(const Vector2<T>& size, T near, T far) {
    M out(T(0));
    out[0][0] = T(2) * near / size[0], out[1][1] = T(2) * near / size[1], out[2][3] = T(-1);
    if (std::isinf(far))
        out[2][2] = T(-1), out[3][2] = T(-2) * near;
    else
        out[2][2] = (far + near) / (near - far), out[3][2] = T(2) * far * near / (near - far);
    return out;
}

template <class M, class... Rest> void bind_matrix4(py::class_<M, Rest...>& cls) {
    typedef typename M::Scalar T;
    typedef Vector3<T> V;
    transformation(cls);
    class_and_instance(cls, "rotation",
                       py::cpp_function(
                           [](Rad<double> angle, const V& axis) {
                               require_unit(axis, "the axis of a rotation");
                               return compose<M>(Quaternion<T>::rotation(Rad<T>(angle), axis).to_matrix(), V());
                           },
                           py::name("rotation"), py::arg("angle"), py::arg("normalized_axis")),
                       method<M>(cls, "rotation", rotation_of<M>));
    const char* names[] = {"rotation_x", "rotation_y", "rotation_z"};
    for (std::size_t axis = 0; axis < 3; ++axis)
        cls.def_static(
            names[axis],
            [axis](Rad<double> angle) { return rotation_in_plane<M>((axis + 1) % 3, (axis + 2) % 3, angle); },
            py::arg("angle"));
    cls.def_static(
        "look_at",
        [](const V& eye, const V& target, const V& up) {
            const V backward = normalized(eye - target), right = normalized(cross(up, backward));
            return compose<M>(of_columns<Matrix3<T>>({right, cross(backward, right), backward}), eye);
        },
        py::arg("eye"), py::arg("target"), py::arg("up"));

    cls.def_static(
           "perspective_projection",
           [](Rad<double> fov, T aspect_ratio, T near, T far) {
               const T width = T(2) * near * T(std::tan(fov.value() / 2));
               return perspective<M>({width, width / aspect_ratio}, near, far);
           },
           py::arg("fov"), py::arg("aspect_ratio"), py::arg("near"), py::arg("far"))
        .def_static("perspective_projection", perspective<M>, py::arg("size"), py::arg("near"), py::arg("far"))
        .def_static(
            "orthographic_projection",
            [](const Vector2<T>& size, T near, T far) {
                M out;
                out[0][0] = T(2) / size[0], out[1][1] = T(2) / size[1];
                out[2][2] = T(2) / (near - far), out[3][2] = (far + near) / (near - far);
                return out;
            },
            py::arg("size"), py::arg("near"), py::arg("far"))
        .def("__matmul__", [](const M& m, const Vector4<T>& v) { return multiply_vector(m, v); }, py::is_operator());
}

template <class M, class... Rest> void bind_matrix3(py::class_<M, Rest...>& cls) {
    transformation(cls);
    class_and_instance(cls, "rotation",
                       py::cpp_function([](Rad<double> angle) { return rotation_in_plane<M>(0, 1, angle); },
                                        py::name("rotation"), py::arg("angle")),
                       method<M>(cls, "rotation", rotation_of<M>));
}

template <class T> void bind_scalar(py::module_& m, const std::string& suffix) {
    auto square2 = bind_square<Matrix<2, T>>(m, ("Matrix2x2" + suffix).c_str());
    auto square3 = bind_square<Matrix<3, T>>(m, ("Matrix3x3" + suffix).c_str());
    auto square4 = bind_square<Matrix<4, T>>(m, ("Matrix4x4" + suffix).c_str());
    from_columns(square3), from_columns(square4);

    py::class_<Matrix3<T>, Matrix<3, T>> matrix3(m, ("Matrix3" + suffix).c_str(), py::buffer_protocol(),
                                                 "Rotation in 3D, or transformation in 2D");
    square(matrix3), from_columns(matrix3), bind_matrix3(matrix3);
    matrix3.def(py::init<const Matrix<3, T>&>());

    py::class_<Matrix4<T>, Matrix<4, T>> matrix4(m, ("Matrix4" + suffix).c_str(), py::buffer_protocol(),
                                                 "Transformation in 3D");
    square(matrix4), from_columns(matrix4), bind_matrix4(matrix4);
    matrix4.def(py::init<const Matrix<4, T>&>());
    py::implicitly_convertible<Matrix<3, T>, Matrix3<T>>();
    py::implicitly_convertible<Matrix<4, T>, Matrix4<T>>();
}

/// Explicit conversion between precisions.
template <template <class> class M> void between_precisions(py::module_& m, const char* single, const char* double_) {
    auto convert = [](auto& to, const auto& from) {
        for (std::size_t i = 0; i < from.Size * from.Size; ++i)
            to.data()[i] = std::remove_reference_t<decltype(*to.data())>(from.data()[i]);
        return to;
    };
    py::reinterpret_borrow<py::class_<M<float>>>(m.attr(single)).def(py::init([convert](const M<double>& from) {
        M<float> to;
        return convert(to, from);
    }));
    py::reinterpret_borrow<py::class_<M<double>>>(m.attr(double_)).def(py::init([convert](const M<float>& from) {
        M<double> to;
        return convert(to, from);
    }));
}

}  // namespace

void bindings::matrices(py::module_& m) {
    bind_scalar<float>(m, "");
    bind_scalar<double>(m, "d");
    between_precisions<Matrix3>(m, "Matrix3", "Matrix3d");
    between_precisions<Matrix4>(m, "Matrix4", "Matrix4d");
}
