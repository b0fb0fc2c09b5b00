using TorchSharp;
using Xunit;
using static Gradus.LibTorch.Tests.Values;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class ReductionTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    public void Dispose() => _scope.Dispose();

    [Fact]
    public void SumsMeansAndSpreads()
    {
        Tensor a = Matrix();
        Equal([], [5], a.sum());
        Equal([2], [2, 3], a.sum(1));
        Equal([1, 3], [5, 3, -3], a.sum(0, keepdim: true));
        Equal([], [5], a.sum([0, 1]));
        Assert.Equal(ScalarType.Float64, a.sum(ScalarType.Float64).dtype);
        Equal([], [5 / 6.0], a.mean());
        Equal([2], [2 / 3.0, 1], a.mean([1]));
        Equal([], [Math.Sqrt(91)], a.norm());
        Equal([2], [Math.Sqrt(14), Math.Sqrt(77)], a.norm(1));
        Equal([2], [Math.Sqrt(19 / 3.0), Math.Sqrt(37)], a.std(1));
        Equal([2], [38 / 9.0, 74 / 3.0], a.var(1, unbiased: false));
        Equal([], [720], a.prod());
        Equal([2, 3], [1, -1, 2, 4, 9, 3], a.cumsum(1));
    }

    [Fact]
    public void ExtremesAndOrder()
    {
        Tensor a = Matrix();
        Equal([], [5], a.max());
        Equal([], [-6], a.min());
        var (values, indices) = a.max(1);
        Equal([2], [3, 5], values);
        Equal([2], [2, 1], indices);
        Equal([2], [1, 2], a.argmin(1));
        Equal([], [4], a.argmax());
        Equal([3], [4, 5, 3], a.amax(0));
        var (top, where) = a.topk(2);
        Equal([2, 2], [3, 1, 5, 4], top);
        Equal([2, 2], [2, 0, 1, 0], where);
        var (sorted, order) = a.sort(1, descending: true, stable: true);
        Equal([2, 3], [3, 1, -2, 5, 4, -6], sorted);
        Equal([2, 3], [2, 0, 1, 1, 0, 2], order);
        Equal([2, 3], [1, 0, 2, 2, 0, 1], a.argsort(1));
        Assert.Equal(2, a.lt(0).count_nonzero().item<long>());
    }

    [Fact]
    public void SoftmaxAndItsKin()
    {
        Tensor a = tensor([0.0, Math.Log(2), Math.Log(5)]);
        Equal([3], [.125, .25, .625], a.softmax(-1));
        Equal([3], [Math.Log(.125), Math.Log(.25), Math.Log(.625)], a.log_softmax(0));
        Equal([], [Math.Log(8)], a.logsumexp(0));
        Equal([3], [.125, .25, .625], nn.functional.softmax(a, 0));
        Equal([], [-Math.Log(.25)], nn.functional.cross_entropy(a.view(1, 3), tensor([1L])));
        Equal([2], [-Math.Log(.25), 0], nn.functional.cross_entropy(a.expand(2, 3), tensor([1L, -100]), reduction: nn.Reduction.None));
    }
}
