/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tensor core instructions of kernel.cuh, lane by lane as the PTX ISA
 * lays out their operands: what one lane holds, the last lane to come reads
 * and writes for all.
 */
#pragma once

struct EmulateMma
{
  float *d; /* [4] */
  const uint32_t *a; /* [4] of two bf16 each */
  const uint32_t *b; /* [2] */
};

static inline float
emulate_half (uint32_t pair, int i)
{
  return emulate_bits<float> (i ? pair & 0xffff0000u : pair << 16);
}

static inline void
emulate_mma_unpack (void **data, float (&a)[16][16], float (&b)[16][8])
{
  for (int lane = 0; lane < 32; lane++) {
    const EmulateMma *m = (const EmulateMma *) data[lane];
    int g = lane / 4, t = lane % 4;

    if (!m)
      emulate_fail ("mma_bf16 without lane %d", lane);
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 2; j++)
        a[g + 8 * (i % 2)][2 * t + 8 * (i / 2) + j] = emulate_half (m->a[i], j);
    for (int i = 0; i < 2; i++)
      for (int j = 0; j < 2; j++)
        b[2 * t + 8 * i + j][g] = emulate_half (m->b[i], j);
  }
}

static inline void
emulate_mma_complete (void **data)
{
  float a[16][16], b[16][8];

  emulate_mma_unpack (data, a, b);
  for (int lane = 0; lane < 32; lane++) {
    float *d = ((EmulateMma *) data[lane])->d;
    int g = lane / 4, t = lane % 4;

    for (int i = 0; i < 4; i++) {
      double sum = 0;

      for (int k = 0; k < 16; k++)
        sum += (double) a[g + 8 * (i / 2)][k] * b[k][2 * t + i % 2];
      d[i] = (float) (d[i] + sum);
    }
  }
}

static inline void
mma_bf16 (float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
    EMULATE_HERE)
{
  EmulateMma mma = { d, a, b };

  emulate_collective ("mma_bf16", 0xffffffffu, &mma, emulate_mma_complete, file,
      line);
}

struct EmulateMatrix
{
  uint32_t *r; /* [4] */
  const void *row; /* 16 bytes */
  bool transposed;
};

static inline void
emulate_ldmatrix_complete (void **data)
{
  for (int lane = 0; lane < 32; lane++) {
    EmulateMatrix *self = (EmulateMatrix *) data[lane];
    int g = lane / 4, t = lane % 4;

    for (int i = 0; i < 4; i++) {
      uint16_t pair[2];

      for (int j = 0; j < 2; j++) {
        int row = self->transposed ? 2 * t + j : g;
        int column = self->transposed ? g : 2 * t + j;
        const EmulateMatrix *from = (const EmulateMatrix *) data[8 * i + row];

        pair[j] = ((const uint16_t *) from->row)[column];
      }
      self->r[i] = pair[0] | (uint32_t) pair[1] << 16;
    }
  }
}

static inline void
emulate_ldmatrix (uint32_t (&r)[4], const void *row, bool transposed,
    const char *file, int line)
{
  EmulateMatrix matrix = { r, row, transposed };

  if ((uintptr_t) row % 16)
    emulate_fail ("ldmatrix_x4: row %p is not aligned to 16 bytes, %s:%d", row,
        file, line);
  emulate_collective (transposed ? "ldmatrix_x4_trans" : "ldmatrix_x4",
      0xffffffffu, &matrix, emulate_ldmatrix_complete, file, line);
}

static inline void
ldmatrix_x4 (uint32_t (&r)[4], const void *row, EMULATE_HERE)
{
  emulate_ldmatrix (r, row, false, file, line);
}

static inline void
ldmatrix_x4_trans (uint32_t (&r)[4], const void *row, EMULATE_HERE)
{
  emulate_ldmatrix (r, row, true, file, line);
}

static inline void
copy_async_16 (void *shared, const void *global, bool valid)
{
  emulate_copy_async (shared, global, valid);
}

static inline void
copy_async_commit (void)
{
  emulate_copy_commit ();
}

template <int n>
static inline void
copy_async_wait (void)
{
  emulate_copy_wait (n);
}
