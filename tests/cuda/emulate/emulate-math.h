/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * CUDA's functions for numbers, for the processor. The approximate ones
 * (__expf) are exact here: a kernel's tolerance is tested on a GPU.
 */
#pragma once

/* the C library has declarations, if not functions, of these names */
#define __expf(x) expf (x)
#define __exp10f(x) powf (10.0f, x)
#define __logf(x) logf (x)
#define __log2f(x) log2f (x)
#define __log10f(x) log10f (x)
#define __sinf(x) sinf (x)
#define __cosf(x) cosf (x)
#define __tanhf(x) tanhf (x)
#define __powf(x, y) powf (x, y)

#define EMULATE_UNARY(name, type, expression) \
  static inline type name (type x) \
  { \
    return expression; \
  }
#define EMULATE_BINARY(name, type, expression) \
  static inline type name (type x, type y) \
  { \
    return expression; \
  }
EMULATE_UNARY (rsqrtf, float, 1 / sqrtf (x))
EMULATE_UNARY (rsqrt, double, 1 / sqrt (x))
EMULATE_UNARY (__frcp_rn, float, 1 / x)
EMULATE_UNARY (exp2_approx, float, x < -126 ? 0 : exp2f (x))
EMULATE_UNARY (__fsqrt_rn, float, sqrtf (x))
EMULATE_UNARY (__frsqrt_rn, float, 1 / sqrtf (x))
EMULATE_UNARY (__saturatef, float, x > 0 ? x < 1 ? x : 1 : 0)
EMULATE_BINARY (__fdividef, float, x / y)
EMULATE_BINARY (__fdiv_rn, float, x / y)
EMULATE_BINARY (__fadd_rn, float, x + y)
EMULATE_BINARY (__fsub_rn, float, x - y)
EMULATE_BINARY (__fmul_rn, float, x *y)
EMULATE_BINARY (__dadd_rn, double, x + y)
EMULATE_BINARY (__dmul_rn, double, x *y)
EMULATE_BINARY (__ddiv_rn, double, x / y)
#undef EMULATE_UNARY
#undef EMULATE_BINARY

static inline float
__fmaf_rn (float x, float y, float z)
{
  return fmaf (x, y, z);
}

template <typename To, typename From>
static inline To
emulate_bits (From value)
{
  static_assert (sizeof (To) == sizeof (From), "bits of one size");
  To result;

  memcpy ((void *) &result, &value, sizeof result);
  return result;
}

#define EMULATE_BITS(name, To, From) \
  static inline To name (From value) \
  { \
    return emulate_bits<To> (value); \
  }
EMULATE_BITS (__float_as_uint, unsigned, float)
EMULATE_BITS (__float_as_int, int, float)
EMULATE_BITS (__uint_as_float, float, unsigned)
EMULATE_BITS (__int_as_float, float, int)
EMULATE_BITS (__double_as_longlong, long long, double)
EMULATE_BITS (__longlong_as_double, double, long long)
#undef EMULATE_BITS

/* Of numbers the one that is no NaN, as in CUDA. */
template <typename A, typename B>
static inline std::common_type_t<A, B>
max (A a, B b)
{
  static_assert (std::is_arithmetic<A>::value && std::is_arithmetic<B>::value,
      "max is for numbers");
  std::common_type_t<A, B> x = a, y = b;

  return x != x || y > x ? y : x;
}

template <typename A, typename B>
static inline std::common_type_t<A, B>
min (A a, B b)
{
  static_assert (std::is_arithmetic<A>::value && std::is_arithmetic<B>::value,
      "min is for numbers");
  std::common_type_t<A, B> x = a, y = b;

  return x != x || y < x ? y : x;
}

static inline int
__popc (unsigned x)
{
  return __builtin_popcount (x);
}

static inline int
__popcll (unsigned long long x)
{
  return __builtin_popcountll (x);
}

static inline int
__clz (int x)
{
  return x ? __builtin_clz ((unsigned) x) : 32;
}

static inline int
__clzll (long long x)
{
  return x ? __builtin_clzll ((unsigned long long) x) : 64;
}

static inline int
__ffs (int x)
{
  return __builtin_ffs (x);
}

static inline unsigned
__umulhi (unsigned x, unsigned y)
{
  return (unsigned) ((uint64_t) x * y >> 32);
}

static inline unsigned
__byte_perm (unsigned x, unsigned y, unsigned s)
{
  uint64_t bytes = (uint64_t) y << 32 | x;
  unsigned result = 0;

  for (int i = 0; i < 4; i++)
    result |= (unsigned) (bytes >> 8 * (s >> 4 * i & 7) & 0xff) << 8 * i;
  return result;
}

/* What goes past a cache, or through it. */
#define EMULATE_LOAD(name) \
  template <typename T> static inline T name (const T *address) \
  { \
    return *address; \
  }
#define EMULATE_STORE(name) \
  template <typename T> \
  static inline void name (T *address, std::common_type_t<T> value) \
  { \
    *address = value; \
  }
EMULATE_LOAD (__ldg)
EMULATE_LOAD (__ldca)
EMULATE_LOAD (__ldcg)
EMULATE_LOAD (__ldcs)
EMULATE_LOAD (__ldcv)
EMULATE_LOAD (__ldlu)
EMULATE_STORE (__stwb)
EMULATE_STORE (__stcg)
EMULATE_STORE (__stcs)
EMULATE_STORE (__stwt)
#undef EMULATE_LOAD
#undef EMULATE_STORE
