using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class OperatorTests
{
    [Fact]
    public void AMatrixProductHasItsValuesAndGradients()
    {
        using var scope = NewDisposeScope();
        var a = tensor([1f, 2, 3, 4, 5, 6], [2, 3], requires_grad: true);
        var b = tensor([1f, 0, 0, 1, 1, 1], [3, 2]);
        var c = a.matmul(b);
        Assert.Equal([4f, 5, 10, 11], c.data<float>().ToArray());
        (c * c).sum().backward();
        Assert.Equal([8f, 10, 18, 20, 22, 42], a.grad!.data<float>().ToArray());
    }
}
