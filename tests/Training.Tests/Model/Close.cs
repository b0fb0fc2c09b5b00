using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

/// <summary>Comparisons of tensors with the tolerances of the fixtures; the distances are in the test's output (-showLiveOutput).</summary>
internal static class Close
{
    /// <summary>No element differs by more than <paramref name="tolerance"/>.</summary>
    public static void Elements(Tensor expected, Tensor actual, string what, double tolerance = 1e-4)
    {
        Assert.Equal(expected.shape, actual.shape);
        var difference = (expected - actual).abs().max().item<float>();
        TestContext.Current.TestOutputHelper?.WriteLine($"{what}: {difference}");
        Assert.True(difference <= tolerance, $"{what} differs by {difference}.");
    }

    /// <summary>The norm of the difference is at most a thousandth of the norm.</summary>
    public static void Norms(Tensor expected, Tensor actual, string what, double tolerance = 1e-3)
    {
        Assert.Equal(expected.shape, actual.shape);
        var difference = (expected - actual).norm().item<float>();
        var norm = expected.norm().item<float>();
        TestContext.Current.TestOutputHelper?.WriteLine($"{what}: {difference / norm}");
        Assert.True(difference <= tolerance * norm, $"{what} differs by {difference} of {norm}.");
    }
}
