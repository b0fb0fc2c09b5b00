using System.Runtime.Intrinsics;
using Gradus.Training.Inference.Cpu;
using Xunit;

namespace Gradus.Training.Tests.Inference;

/// <summary>The kernels against sums in double precision, on every kind of edge: outputs, inputs and tokens that fill no tile.</summary>
public sealed unsafe class ProductTests
{
    public static TheoryData<int, int, int> Shapes => [(1, 1, 1), (1, 16, 48), (2, 17, 33), (5, 12, 20), (6, 24, 64), (7, 50, 36), (16, 96, 128), (23, 100, 131)];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Fp32_sums_are_exact_to_rounding_at_both_widths(int tokens, int outputs, int inputs)
    {
        var (x, w) = (Numbers("x", tokens * inputs), Numbers("w", outputs * inputs));
        foreach (var add in new[] { false, true })
        {
            float[] wide = [.. Enumerable.Repeat(1f, tokens * outputs)], narrow = [.. wide];
            fixed (float* a = x, b = w, to = wide, other = narrow)
            {
                // In two parts, as a team computes them.
                if (Vector512.IsHardwareAccelerated) RowProduct.Wide(a, inputs, b, inputs, to, outputs, tokens, 0, outputs / 2, add);
                if (Vector512.IsHardwareAccelerated) RowProduct.Wide(a, inputs, b, inputs, to, outputs, tokens, outputs / 2, outputs, add);
                RowProduct.Narrow(a, inputs, b, inputs, other, outputs, tokens, 0, outputs, add);
            }
            for (var i = 0; i < wide.Length; i++)
            {
                var expected = Sum(x, w, i / outputs, i % outputs, inputs) + (add ? 1 : 0);
                if (Vector512.IsHardwareAccelerated) Assert.Equal(expected, wide[i], 1e-5);
                Assert.Equal(expected, narrow[i], 1e-5);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Bf16_sums_are_those_of_the_rounded_numbers(int tokens, int outputs, int inputs)
    {
        Assert.SkipUnless(VectorDecoder.SupportsBFloat16, "This processor has no bf16 instructions, or the kernels were not built.");
        var (x, w) = (Numbers("x", tokens * inputs), Numbers("w", outputs * inputs));
        var across = inputs + (inputs % 2) + 2;
        var rounded = new ushort[tokens * across];
        var packed = new ushort[BFloat16Kernels.PackedBytes(outputs, inputs) / sizeof(ushort)];
        foreach (var add in new[] { false, true })
        {
            float[] y = [.. Enumerable.Repeat(1f, tokens * outputs)];
            fixed (float* a = x, b = w, to = y)
            fixed (ushort* rows = rounded, blocks = packed)
            {
                for (var token = 0; token < tokens; token++) BFloat16Kernels.Round(a + (token * inputs), rows + (token * across), inputs);
                var all = BFloat16Kernels.Blocks(outputs);
                BFloat16Kernels.Pack(b, blocks, outputs, inputs, 0, all / 2);
                BFloat16Kernels.Pack(b, blocks, outputs, inputs, all / 2, all);
                BFloat16Kernels.Multiply(blocks, rows, across, inputs, to, outputs, tokens, outputs, 0, all / 2, add ? 1 : 0);
                BFloat16Kernels.Multiply(blocks, rows, across, inputs, to, outputs, tokens, outputs, all / 2, all, add ? 1 : 0);
            }
            float[] roundX = [.. x.Select(Rounded)], roundW = [.. w.Select(Rounded)];
            for (var i = 0; i < y.Length; i++) Assert.Equal(Sum(roundX, roundW, i / outputs, i % outputs, inputs) + (add ? 1 : 0), y[i], 1e-5);
        }
    }

    [Fact]
    public void A_token_s_sums_are_the_same_bits_in_any_company()
    {
        const int Outputs = 70, Inputs = 91, Tokens = 23;
        var (x, w) = (Numbers("x", Tokens * Inputs), Numbers("w", Outputs * Inputs));
        float[] together = new float[Tokens * Outputs], alone = new float[Tokens * Outputs];
        fixed (float* a = x, b = w, all = together, one = alone)
        {
            RowProduct.Multiply(a, Inputs, b, Inputs, all, Outputs, Tokens, 0, Outputs, add: false);
            for (var token = 0; token < Tokens; token++) RowProduct.Multiply(a + (token * Inputs), Inputs, b, Inputs, one + (token * Outputs), Outputs, 1, 0, Outputs, add: false);
        }
        Assert.Equal(together, alone);
    }

    [Fact]
    public void A_team_runs_each_iteration_once_and_waits_for_all()
    {
        using var team = new ComputeTeam(3);
        for (var loop = 0; loop < 2_000; loop++)
        {
            var runs = new int[loop % 7];
            team.For(runs.Length, (i, member) =>
            {
                Assert.InRange(member, 0, 2);
                Interlocked.Increment(ref runs[i]);
            });
            Assert.All(runs, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void A_body_that_throws_on_the_caller_throws_there()
    {
        using var team = new ComputeTeam(1);
        Assert.Throws<InvalidOperationException>(() => team.For(2, (_, _) => throw new InvalidOperationException()));
    }

    private static double Sum(float[] x, float[] w, int token, int output, int inputs)
    {
        double sum = 0;
        for (var k = 0; k < inputs; k++) sum += (double)x[(token * inputs) + k] * w[(output * inputs) + k];
        return sum;
    }

    // To the nearest bf16, ties to even.
    private static float Rounded(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000);
    }

    private static float[] Numbers(string purpose, int count)
    {
        var random = DerivedRandom.For(1, purpose);
        return [.. Enumerable.Range(0, count).Select(_ => (float)random.NextGaussian() / 4)];
    }
}
