// repr of numbers as Python users of this API know it: six significant digits.
#pragma once

#include <sstream>
#include <string>

namespace format {

/// "1, 2.5, 3" for anything indexable.
template <class V> std::string joined(const V& values, std::size_t count) {
    std::ostringstream out;
    for (std::size_t i = 0; i < count; ++i) out << (i ? ", " : "") << +values[i];
    return out.str();
}

}  // namespace format
