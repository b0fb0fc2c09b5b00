using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

/// <summary>Comparison of a tensor with values written down by hand.</summary>
internal static class Values
{
    /// <summary>Shape and elements in row-major order, within a relative and absolute 1e-6 (1e-12 in double).</summary>
    public static void Equal(long[] shape, double[] expected, Tensor actual)
    {
        Assert.Equal(shape, actual.shape);
        double tolerance = actual.dtype == ScalarType.Float64 ? 1e-12 : 1e-6;
        double[] values = actual.detach().to(ScalarType.Float64).data<double>().ToArray();
        Assert.Equal(expected.Length, values.Length);
        for (int k = 0; k < expected.Length; k++)
            Assert.True(Close(expected[k], values[k], tolerance), $"element {k}: expected {expected[k]}, got {values[k]} of [{string.Join(", ", values)}]");
    }

    public static Tensor Matrix() => tensor([1f, -2, 3, 4, 5, -6], [2, 3]);

    public static Tensor Double(double[] values, params long[] shape) => tensor(values, shape, requires_grad: true);

    private static bool Close(double expected, double actual, double tolerance) =>
        expected.Equals(actual) || Math.Abs(expected - actual) <= tolerance * Math.Max(1, Math.Abs(expected));
}
