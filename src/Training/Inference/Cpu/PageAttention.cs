using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Gradus.Training.Inference.Cpu;

/// <summary>Attention of one query head over the pages of one sequence.</summary>
internal static unsafe class PageAttention
{
    /// <param name="query">[width], scaled, padded with zeros.</param>
    /// <param name="next">The pages that are read after these: they are fetched meanwhile, since the cache of a batch is larger than the processor's.</param>
    /// <param name="keys">Where in a page the head's keys begin.</param>
    /// <param name="values">Where its values begin.</param>
    /// <param name="seen">Positions that are seen, from 0; at least 1.</param>
    /// <param name="scores">Room for the positions, rounded up to whole pages.</param>
    /// <param name="output">[width].</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Attend(float* query, ReadOnlySpan<nint> pages, ReadOnlySpan<nint> next, int keys, int values, int width, int seen, float* scores, float* output)
    {
        var count = (seen + PageShape.Positions - 1) / PageShape.Positions;
        var largest = Vector512.Create(float.NegativeInfinity);
        for (var page = 0; page < count; page++)
        {
            float* key = (float*)pages[page] + keys, later = page < next.Length ? (float*)next[page] + keys : key;
            Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, s2 = s0, s3 = s0;
            for (var j = 0; j < width; j += 4)
            {
                Fetch(later + (j * 16));
                Fetch(later + (j * 16) + 16);
                Fetch(later + (j * 16) + 32);
                Fetch(later + (j * 16) + 48);
                s0 = Vector512.FusedMultiplyAdd(Vector512.Load(key + (j * 16)), Vector512.Create(query[j]), s0);
                s1 = Vector512.FusedMultiplyAdd(Vector512.Load(key + (j * 16) + 16), Vector512.Create(query[j + 1]), s1);
                s2 = Vector512.FusedMultiplyAdd(Vector512.Load(key + (j * 16) + 32), Vector512.Create(query[j + 2]), s2);
                s3 = Vector512.FusedMultiplyAdd(Vector512.Load(key + (j * 16) + 48), Vector512.Create(query[j + 3]), s3);
            }
            var score = s0 + s1 + (s2 + s3);
            if (page == count - 1)
            {
                // Behind the last position stands what was there before: not to be seen, whatever it is.
                var place = Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
                score = Vector512.ConditionalSelect(Vector512.LessThan(place, Vector512.Create((float)(seen - (page * 16)))), score, Vector512.Create(float.NegativeInfinity));
            }
            score.Store(scores + (page * 16));
            largest = Vector512.Max(largest, score);
        }
        var max = float.NegativeInfinity;
        for (var i = 0; i < 16; i++) max = Math.Max(max, largest[i]);
        var sums = Vector512<float>.Zero;
        for (var at = 0; at < count * 16; at += 16)
        {
            var weight = RowMath.Exp(Vector512.Load(scores + at) - Vector512.Create(max));
            weight.Store(scores + at);
            sums += weight;
        }
        var share = Vector512.Create(1 / Vector512.Sum(sums));
        for (var part = 0; part < width; part += 16)
        {
            Vector512<float> a0 = Vector512<float>.Zero, a1 = a0;
            for (var page = 0; page < count; page++)
            {
                float* value = (float*)pages[page] + values + part, later = page < next.Length ? (float*)next[page] + values + part : value;
                var weights = scores + (page * 16);
                var here = Math.Min(16, seen - (page * 16));
                var t = 0;
                for (; t + 1 < here; t += 2)
                {
                    Fetch(later + (t * width));
                    Fetch(later + ((t + 1) * width));
                    a0 = Vector512.FusedMultiplyAdd(Vector512.Load(value + (t * width)), Vector512.Create(weights[t]), a0);
                    a1 = Vector512.FusedMultiplyAdd(Vector512.Load(value + ((t + 1) * width)), Vector512.Create(weights[t + 1]), a1);
                }
                if (t < here) a0 = Vector512.FusedMultiplyAdd(Vector512.Load(value + (t * width)), Vector512.Create(weights[t]), a0);
            }
            ((a0 + a1) * share).Store(output + part);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch(float* address)
    {
        if (Sse.IsSupported) Sse.Prefetch1(address);
    }
}
