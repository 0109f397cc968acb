// Vectors, matrices, quaternions, angles and ranges.
//
// The simulator's extension finds these classes by their names and reads them as raw memory, so the namespaces, the
// template shapes and the layouts below must be the ones it was compiled with. The static_asserts at the end hold the
// sizes; tests/test_layout.py compares them and the member offsets with the simulator's own debug information.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace Magnum {

typedef std::uint32_t UnsignedInt;
typedef std::int32_t Int;
typedef std::uint16_t UnsignedShort;
typedef std::uint8_t UnsignedByte;

namespace Math {

constexpr double Pi = 3.141592653589793238462643383279502884;

// ---- scalars -----------------------------------------------------------------------------------------------------

/// Tolerance of comparisons: relative above one, absolute below.
template <class T> constexpr T epsilon() { return T(0); }
template <> constexpr float epsilon<float>() { return 1.0e-5f; }
template <> constexpr double epsilon<double>() { return 1.0e-14; }

template <class T> bool equal(T a, T b) {
    if constexpr (!std::is_floating_point_v<T>) {
        return a == b;
    } else {
        if (a == b || (std::isnan(a) && std::isnan(b))) return true;
        const T difference = std::abs(a - b), magnitude = std::max(std::abs(a), std::abs(b));
        return difference < epsilon<T>() * std::max(magnitude, T(1));
    }
}

template <class T> bool is_unit(T squared_length) { return std::abs(squared_length - T(1)) < T(2) * epsilon<T>(); }

// ---- angles ------------------------------------------------------------------------------------------------------

template <template <class> class Derived, class T> class Unit {
  public:
    typedef T Scalar;
    Unit() = default;
    explicit constexpr Unit(T value) : _value(value) {}
    explicit constexpr operator T() const { return _value; }
    T value() const { return _value; }

  private:
    T _value = T(0);
};

template <class T> class Deg;

template <class T> class Rad : public Unit<Rad, T> {
  public:
    Rad() = default;
    explicit constexpr Rad(T value) : Unit<Rad, T>(value) {}
    template <class U> explicit Rad(Rad<U> other) : Unit<Rad, T>(T(other.value())) {}
    template <class U> explicit Rad(Deg<U> other);
};

template <class T> class Deg : public Unit<Deg, T> {
  public:
    Deg() = default;
    explicit constexpr Deg(T value) : Unit<Deg, T>(value) {}
    template <class U> explicit Deg(Deg<U> other) : Unit<Deg, T>(T(other.value())) {}
    template <class U> explicit Deg(Rad<U> other) : Unit<Deg, T>(T(double(other.value()) * 180.0 / Pi)) {}
};

template <class T> template <class U> Rad<T>::Rad(Deg<U> other) : Unit<Rad, T>(T(double(other.value()) * Pi / 180.0)) {}

// ---- vectors -----------------------------------------------------------------------------------------------------

template <std::size_t size, class T> class Vector {
  public:
    typedef T Scalar;
    static constexpr std::size_t Size = size;

    Vector() : _data{} {}
    explicit Vector(T value) { std::fill(_data, _data + size, value); }
    template <class U> explicit Vector(const Vector<size, U>& other) {
        for (std::size_t i = 0; i < size; ++i) _data[i] = T(other[i]);
    }

    T& operator[](std::size_t i) { return _data[i]; }
    const T& operator[](std::size_t i) const { return _data[i]; }
    T* data() { return _data; }
    const T* data() const { return _data; }

  protected:
    T _data[size];
};

template <class T> class Vector2 : public Vector<2, T> {
  public:
    using Vector<2, T>::Vector;
    Vector2() = default;
    Vector2(T x, T y) { (*this)[0] = x, (*this)[1] = y; }
};

template <class T> class Vector3 : public Vector<3, T> {
  public:
    using Vector<3, T>::Vector;
    Vector3() = default;
    Vector3(T x, T y, T z) { (*this)[0] = x, (*this)[1] = y, (*this)[2] = z; }
    Vector3(const Vector2<T>& xy, T z) : Vector3(xy[0], xy[1], z) {}
};

template <class T> class Vector4 : public Vector<4, T> {
  public:
    using Vector<4, T>::Vector;
    Vector4() = default;
    Vector4(T x, T y, T z, T w) { (*this)[0] = x, (*this)[1] = y, (*this)[2] = z, (*this)[3] = w; }
    Vector4(const Vector3<T>& xyz, T w) : Vector4(xyz[0], xyz[1], xyz[2], w) {}
};

/// The vector class a Python user sees (Vector3) for the nameless one matrices are made of (Vector<3>).
template <std::size_t size, class T> struct NamedVector;
template <class T> struct NamedVector<2, T> {
    typedef Vector2<T> Type;
};
template <class T> struct NamedVector<3, T> {
    typedef Vector3<T> Type;
};
template <class T> struct NamedVector<4, T> {
    typedef Vector4<T> Type;
};

template <std::size_t size, class T> auto named(const Vector<size, T>& vector) {
    typename NamedVector<size, T>::Type out;
    for (std::size_t i = 0; i < size; ++i) out[i] = vector[i];
    return out;
}

template <class T> class Color3 : public Vector3<T> {
  public:
    using Vector3<T>::Vector3;
    Color3() = default;
    explicit Color3(const Vector3<T>& other) : Vector3<T>(other) {}
};

template <class T> class Color4 : public Vector4<T> {
  public:
    using Vector4<T>::Vector4;
    Color4() : Vector4<T>() {}
    explicit Color4(T value, T alpha = T(1)) : Vector4<T>(value, value, value, alpha) {}
    Color4(T r, T g, T b, T a = T(1)) : Vector4<T>(r, g, b, a) {}
    explicit Color4(const Vector3<T>& rgb, T a = T(1)) : Vector4<T>(rgb, a) {}
    explicit Color4(const Vector4<T>& other) : Vector4<T>(other) {}
};

/// V is any class derived from Vector: the result keeps it (a Color3 stays a Color3).
template <class V, class F> V map(const V& a, F&& function) {
    V out;
    for (std::size_t i = 0; i < V::Size; ++i) out[i] = typename V::Scalar(function(a[i]));
    return out;
}

template <class V, class F> V map(const V& a, const V& b, F&& function) {
    V out;
    for (std::size_t i = 0; i < V::Size; ++i) out[i] = typename V::Scalar(function(a[i], b[i]));
    return out;
}

template <class V> using EnableVector = std::enable_if_t<std::is_base_of_v<Vector<V::Size, typename V::Scalar>, V>, V>;

template <class V> EnableVector<V> operator+(const V& a, const V& b) {
    return map(a, b, [](auto x, auto y) { return x + y; });
}
template <class V> EnableVector<V> operator-(const V& a, const V& b) {
    return map(a, b, [](auto x, auto y) { return x - y; });
}
template <class V> EnableVector<V> operator*(const V& a, typename V::Scalar s) {
    return map(a, [s](auto x) { return x * s; });
}

template <class V> auto dot(const V& a, const V& b) -> typename V::Scalar {
    typename V::Scalar sum{};
    for (std::size_t i = 0; i < V::Size; ++i) sum += a[i] * b[i];
    return sum;
}

template <class V> bool vectors_equal(const V& a, const V& b) {
    for (std::size_t i = 0; i < V::Size; ++i)
        if (!equal(a[i], b[i])) return false;
    return true;
}

template <class V> auto length(const V& a) { return std::sqrt(dot(a, a)); }
template <class V> V normalized(const V& a) { return a * (typename V::Scalar(1) / length(a)); }

template <class T> Vector3<T> cross(const Vector3<T>& a, const Vector3<T>& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

// ---- matrices: column-major, indexed [column][row] ---------------------------------------------------------------

template <std::size_t cols, std::size_t rows, class T> class RectangularMatrix {
  public:
    typedef T Scalar;
    RectangularMatrix() = default;
    Vector<rows, T>& operator[](std::size_t column) { return _data[column]; }
    const Vector<rows, T>& operator[](std::size_t column) const { return _data[column]; }
    T* data() { return _data[0].data(); }
    const T* data() const { return _data[0].data(); }

  private:
    Vector<rows, T> _data[cols];
};

template <std::size_t size, class T> class Matrix : public RectangularMatrix<size, size, T> {
  public:
    static constexpr std::size_t Size = size;
    explicit Matrix(T diagonal = T(1)) {
        for (std::size_t i = 0; i < size; ++i) (*this)[i][i] = diagonal;
    }
};

template <class T> class Matrix3 : public Matrix<3, T> {
  public:
    using Matrix<3, T>::Matrix;
    Matrix3() = default;
    Matrix3(const Matrix<3, T>& other) : Matrix<3, T>(other) {}
};

template <class T> class Matrix4 : public Matrix<4, T> {
  public:
    using Matrix<4, T>::Matrix;
    Matrix4() = default;
    Matrix4(const Matrix<4, T>& other) : Matrix<4, T>(other) {}
};

template <class M> M multiply(const M& a, const M& b) {
    M out(typename M::Scalar(0));
    for (std::size_t column = 0; column < M::Size; ++column)
        for (std::size_t k = 0; k < M::Size; ++k)
            for (std::size_t row = 0; row < M::Size; ++row) out[column][row] += a[k][row] * b[column][k];
    return out;
}

template <class M, class V> V multiply_vector(const M& a, const V& b) {
    V out;
    for (std::size_t k = 0; k < M::Size; ++k)
        for (std::size_t row = 0; row < M::Size; ++row) out[row] += a[k][row] * b[k];
    return out;
}

template <class M> M transposed(const M& a) {
    M out;
    for (std::size_t column = 0; column < M::Size; ++column)
        for (std::size_t row = 0; row < M::Size; ++row) out[column][row] = a[row][column];
    return out;
}

template <class M> bool matrices_equal(const M& a, const M& b) {
    for (std::size_t i = 0; i < M::Size; ++i)
        if (!vectors_equal(a[i], b[i])) return false;
    return true;
}

/// Gauss-Jordan elimination with row pivoting. Returns the determinant; `inverse` is meaningful if that is not zero.
template <class M> typename M::Scalar invert(M a, M& inverse) {
    typedef typename M::Scalar T;
    constexpr std::size_t size = M::Size;
    inverse = M(T(1));
    T determinant = T(1);
    for (std::size_t step = 0; step < size; ++step) {
        std::size_t pivot = step;
        for (std::size_t row = step + 1; row < size; ++row)
            if (std::abs(a[step][row]) > std::abs(a[step][pivot])) pivot = row;
        if (a[step][pivot] == T(0)) return T(0);
        if (pivot != step) {
            determinant = -determinant;
            for (std::size_t column = 0; column < size; ++column) {
                std::swap(a[column][step], a[column][pivot]);
                std::swap(inverse[column][step], inverse[column][pivot]);
            }
        }
        const T scale = a[step][step];
        determinant *= scale;
        for (std::size_t column = 0; column < size; ++column) a[column][step] /= scale, inverse[column][step] /= scale;
        for (std::size_t row = 0; row < size; ++row) {
            const T factor = a[step][row];
            if (row == step || factor == T(0)) continue;
            for (std::size_t column = 0; column < size; ++column) {
                a[column][row] -= factor * a[column][step];
                inverse[column][row] -= factor * inverse[column][step];
            }
        }
    }
    return determinant;
}

/// The upper-left block of a homogeneous transformation, and its last column.
template <class T> Matrix3<T> linear_part(const Matrix4<T>& m) {
    Matrix3<T> out;
    for (std::size_t column = 0; column < 3; ++column)
        for (std::size_t row = 0; row < 3; ++row) out[column][row] = m[column][row];
    return out;
}
template <class T> Matrix<2, T> linear_part(const Matrix3<T>& m) {
    Matrix<2, T> out;
    for (std::size_t column = 0; column < 2; ++column)
        for (std::size_t row = 0; row < 2; ++row) out[column][row] = m[column][row];
    return out;
}
template <class T> Vector3<T> translation_part(const Matrix4<T>& m) { return {m[3][0], m[3][1], m[3][2]}; }
template <class T> Vector2<T> translation_part(const Matrix3<T>& m) { return {m[2][0], m[2][1]}; }

/// Homogeneous transformation from a linear part and a translation (Matrix3 + Vector3, or Matrix<2> + Vector2).
template <class M, class L, class V> M compose(const L& linear, const V& translation) {
    M out;
    for (std::size_t column = 0; column < L::Size; ++column)
        for (std::size_t row = 0; row < L::Size; ++row) out[column][row] = linear[column][row];
    for (std::size_t row = 0; row < L::Size; ++row) out[L::Size][row] = translation[row];
    return out;
}

/// Lengths of the columns.
template <class L> auto column_scaling(const L& linear) {
    typename NamedVector<L::Size, typename L::Scalar>::Type out;
    for (std::size_t i = 0; i < L::Size; ++i) out[i] = length(linear[i]);
    return out;
}

template <class L> L columns_normalized(L linear) {
    for (std::size_t i = 0; i < L::Size; ++i) linear[i] = normalized(linear[i]);
    return linear;
}

template <class L> bool is_orthogonal(const L& linear) {
    typedef typename L::Scalar T;
    for (std::size_t i = 0; i < L::Size; ++i) {
        if (!is_unit(dot(linear[i], linear[i]))) return false;
        for (std::size_t j = i + 1; j < L::Size; ++j)
            if (std::abs(dot(linear[i], linear[j])) > T(2) * epsilon<T>()) return false;
    }
    return true;
}

// ---- quaternions -------------------------------------------------------------------------------------------------

template <class T> class Quaternion {
  public:
    typedef T Scalar;
    Quaternion() : _scalar(T(1)) {}
    Quaternion(const Vector3<T>& vector, T scalar) : _vector(vector), _scalar(scalar) {}
    template <class U> explicit Quaternion(const Quaternion<U>& other)
        : _vector(other.vector()), _scalar(T(other.scalar())) {}

    Vector3<T>& vector() { return _vector; }
    const Vector3<T>& vector() const { return _vector; }
    T& scalar() { return _scalar; }
    T scalar() const { return _scalar; }

    static Quaternion rotation(Rad<T> angle, const Vector3<T>& unit_axis) {
        return {unit_axis * std::sin(angle.value() / 2), std::cos(angle.value() / 2)};
    }

    /// From a rotation matrix, by Shepperd's method: the largest of the four components is found first, so that no
    /// division is by a number near zero.
    static Quaternion from_matrix(const Matrix<3, T>& m) {
        const T trace = m[0][0] + m[1][1] + m[2][2];
        if (trace > T(0)) {
            const T s = std::sqrt(trace + T(1)) * T(2);
            return {{(m[1][2] - m[2][1]) / s, (m[2][0] - m[0][2]) / s, (m[0][1] - m[1][0]) / s}, s / T(4)};
        }
        std::size_t i = m[1][1] > m[0][0] ? 1 : 0;
        if (m[2][2] > m[i][i]) i = 2;
        const std::size_t j = (i + 1) % 3, k = (i + 2) % 3;
        const T s = std::sqrt(m[i][i] - m[j][j] - m[k][k] + T(1)) * T(2);
        Quaternion out;
        out._vector[i] = s / T(4);
        out._vector[j] = (m[i][j] + m[j][i]) / s;
        out._vector[k] = (m[i][k] + m[k][i]) / s;
        out._scalar = (m[j][k] - m[k][j]) / s;
        return out;
    }

    Matrix3<T> to_matrix() const {
        const T x = _vector[0], y = _vector[1], z = _vector[2], w = _scalar;
        Matrix3<T> m;
        m[0][0] = 1 - 2 * (y * y + z * z), m[0][1] = 2 * (x * y + z * w), m[0][2] = 2 * (x * z - y * w);
        m[1][0] = 2 * (x * y - z * w), m[1][1] = 1 - 2 * (x * x + z * z), m[1][2] = 2 * (y * z + x * w);
        m[2][0] = 2 * (x * z + y * w), m[2][1] = 2 * (y * z - x * w), m[2][2] = 1 - 2 * (x * x + y * y);
        return m;
    }

    T dot(const Quaternion& other) const { return Math::dot(_vector, other._vector) + _scalar * other._scalar; }
    T length() const { return std::sqrt(dot(*this)); }
    Quaternion conjugated() const { return {_vector * T(-1), _scalar}; }
    Quaternion inverted() const { return conjugated() * (T(1) / dot(*this)); }
    Quaternion normalized() const { return *this * (T(1) / length()); }
    bool is_normalized() const { return is_unit(dot(*this)); }

    Quaternion operator*(T s) const { return {_vector * s, _scalar * s}; }
    Quaternion operator+(const Quaternion& o) const { return {_vector + o._vector, _scalar + o._scalar}; }
    Quaternion operator-(const Quaternion& o) const { return {_vector - o._vector, _scalar - o._scalar}; }
    Quaternion operator*(const Quaternion& o) const {
        return {o._vector * _scalar + _vector * o._scalar + cross(_vector, o._vector),
                _scalar * o._scalar - Math::dot(_vector, o._vector)};
    }

    Vector3<T> transform_vector(const Vector3<T>& v) const {
        return (*this * Quaternion(v, T(0)) * inverted())._vector;
    }
    Vector3<T> transform_vector_normalized(const Vector3<T>& v) const {
        const Vector3<T> t = cross(_vector, v) * T(2);
        return v + t * _scalar + cross(_vector, t);
    }

  private:
    Vector3<T> _vector;
    T _scalar;
};

// ---- ranges ------------------------------------------------------------------------------------------------------

template <UnsignedInt dimensions, class T> class Range {
  public:
    typedef typename NamedVector<dimensions, T>::Type VectorType;
    static constexpr UnsignedInt Dimensions = dimensions;
    Range() = default;
    Range(const VectorType& min, const VectorType& max) : _min(min), _max(max) {}
    VectorType& min() { return _min; }
    const VectorType& min() const { return _min; }
    VectorType& max() { return _max; }
    const VectorType& max() const { return _max; }

  private:
    VectorType _min, _max;
};

template <class T> class Range2D : public Range<2, T> {
  public:
    using Range<2, T>::Range;
};

template <class T> class Range3D : public Range<3, T> {
  public:
    using Range<3, T>::Range;
};

static_assert(sizeof(Rad<float>) == 4 && sizeof(Rad<double>) == 8 && sizeof(Deg<double>) == 8);
static_assert(sizeof(Vector2<float>) == 8 && sizeof(Vector3<float>) == 12 && sizeof(Vector4<float>) == 16);
static_assert(sizeof(Vector3<double>) == 24 && sizeof(Vector2<Int>) == 8 && sizeof(Vector3<UnsignedByte>) == 3);
static_assert(sizeof(Color3<float>) == 12 && sizeof(Color4<float>) == 16);
static_assert(sizeof(Matrix3<float>) == 36 && sizeof(Matrix4<float>) == 64 && sizeof(Matrix4<double>) == 128);
static_assert(sizeof(Quaternion<float>) == 16 && sizeof(Quaternion<double>) == 32);
static_assert(sizeof(Range2D<float>) == 16 && sizeof(Range3D<float>) == 24);
// Passed and returned by value through the simulator's virtual functions, hence in the registers the ABI gives these.
static_assert(std::is_trivially_copyable_v<Rad<float>> && std::is_trivially_copyable_v<Matrix4<float>>);

}  // namespace Math
}  // namespace Magnum
