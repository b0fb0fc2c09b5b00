using TorchSharp;
using Xunit;
using static Gradus.LibTorch.Tests.Values;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class ShapeTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    public void Dispose() => _scope.Dispose();

    [Fact]
    public void ViewsShareTheMemory()
    {
        Tensor a = Matrix();
        a.view(3, 2)[2, 1] = 60;
        Equal([2, 3], [1, -2, 3, 4, 5, 60], a);
        Equal([3, 2], [1, 4, -2, 5, 3, 60], a.t());
        Assert.False(a.t().is_contiguous());
        Assert.True(a.t().contiguous().is_contiguous());
        Equal([3, 2], [1, 4, -2, 5, 3, 60], a.transpose(0, 1));
        Equal([3, 1, 2], [1, 4, -2, 5, 3, 60], a.unsqueeze(0).permute(2, 0, 1));
        Equal([6], [1, -2, 3, 4, 5, 60], a.flatten());
        Equal([2, 3, 2], [1, 1, -2, -2, 3, 3, 4, 4, 5, 5, 60, 60], a.unsqueeze(-1).expand(2, 3, 2));
        Equal([2, 3], [1, -2, 3, 4, 5, 60], a.view(2, 1, 3).squeeze(1));
        Equal([2, 2], [-2, 3, 5, 60], a.narrow(1, 1, 2));
        Equal([3], [4, 5, 60], a.select(0, -1));
        Equal([2, 2], [1, 3, 4, 60], a.slice(1, 0, 3, 2));
        Equal([4, 3], [1, -2, 3, 4, 5, 60, 1, -2, 3, 4, 5, 60], a.repeat(2, 1));
        Equal([4], [1, 1, 2, 2], tensor([1L, 2]).repeat_interleave(2));
        Equal([2, 3], [3, -2, 1, 60, 5, 4], a.flip(1));
        Equal([2, 1, 3], [1, -2, 3, 4, 5, 60], a.unflatten(1, 1, 3));
        Assert.Equal([3L, 1], a.stride());
    }

    [Fact]
    public void PiecesAndTheirWholes()
    {
        Tensor a = Matrix();
        Tensor[] pieces = a.split(2, 1);
        Assert.Equal([2L, 1], pieces.Select(p => p.size(1)));
        Equal([2, 3], [1, -2, 3, 4, 5, -6], cat(pieces, 1));
        Assert.Equal(3, a.chunk(3, 1).Length);
        Equal([2], [-2, 5], a.split([1, 1, 1], 1)[1].squeeze(1));
        Equal([2, 3], [1, -2, 3, 4, 5, -6], stack(a.unbind()));
        Equal([3, 2], [1, 4, -2, 5, 3, -6], stack(a.unbind(), 1));
    }

    [Fact]
    public void Triangles()
    {
        Equal([3, 3], [1, 0, 0, 1, 1, 0, 1, 1, 1], ones(3, 3).tril());
        Equal([3, 3], [0, 1, 1, 0, 0, 1, 0, 0, 0], ones(3, 3).triu(1));
        Equal([2, 2], [1, 0, 0, 1], eye(2));
    }

    [Fact]
    public void IndicesAsInPython()
    {
        Tensor a = arange(24).view(2, 3, 4);
        Equal([3, 4], Enumerable.Range(12, 12).Select(i => (double)i).ToArray(), a[1]);
        Equal([], [23], a[1, 2, 3]);
        Equal([], [23], a[-1, -1, -1]);
        Equal([2, 3], [0, 4, 8, 12, 16, 20], a[TensorIndex.Ellipsis, 0]);
        Equal([2, 4], [4, 5, 6, 7, 16, 17, 18, 19], a[TensorIndex.Colon, 1]);
        Equal([2, 2, 2], [4, 6, 8, 10, 16, 18, 20, 22], a[.., 1.., TensorIndex.Slice(step: 2)]);
        Equal([2, 3, 1], [2, 6, 10, 14, 18, 22], a[.., .., 2..3]);
        Equal([2, 1, 3, 4], Enumerable.Range(0, 24).Select(i => (double)i).ToArray(), a[.., TensorIndex.Null]);
        Equal([2, 2, 4], [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23], a[.., TensorIndex.Tensor(tensor([0L, 2]))]);
        Equal([2], [5, 23], a[tensor([0L, 1]), tensor([1L, 2]), tensor([1L, 3])]);
        Equal([3], [21, 22, 23], a[a > 20]);
        Equal([2], [1, 13], a[.., 0, TensorIndex.Tensor(tensor([1L]))].view(2));
    }

    [Fact]
    public void AssignmentThroughAnIndex()
    {
        Tensor a = zeros(2, 3);
        a[0] = tensor([1f, 2, 3]);
        a[1, 2] = 9;
        a[.., 0] = 7;
        Equal([2, 3], [7, 2, 3, 7, 0, 9], a);
        a.index_put_(full([], 1f), [TensorIndex.Tensor(tensor([1L, 1])), TensorIndex.Tensor(tensor([1L, 1]))], accumulate: true);
        Equal([2, 3], [7, 2, 3, 7, 2, 9], a);
        a[a > 5] = 0;
        Equal([2, 3], [0, 2, 3, 0, 2, 0], a);
    }

    [Fact]
    public void SelectionAndScatter()
    {
        Tensor a = Matrix(), rows = tensor([1L, 0, 1]);
        Equal([3, 3], [4, 5, -6, 1, -2, 3, 4, 5, -6], a.index_select(0, rows));
        Equal([2, 1], [3, 4], a.gather(1, tensor([2L, 0], [2, 1])));
        Equal([2, 3], [0, 0, 8, 9, 0, 0], zeros(2, 3).scatter_(1, tensor([2L, 0], [2, 1]), tensor([8f, 9], [2, 1])));
        Equal([3], [3, 0, 5], zeros(3).scatter_add(0, tensor([0L, 0, 2]), tensor([1f, 2, 5])));
        Equal([2, 3], [1, 1, 1, 2, 2, 2], zeros(2, 3).index_add_(0, rows, ones(3, 3), 1));
        Equal([2, 3], [4, 5, -6, 1, -2, 3], zeros(2, 3).index_copy_(0, tensor([1L, 0]), a));
        Equal([2, 2], [0, 1, 1, 2], tensor([0f, 3, 0, 0, 0, 5], [2, 3]).nonzero());
        Equal([3], [1, 0, 2], tensor([0L, 2, 2]).bincount(null!));
        Equal([2, 3], [0, 1, 0, 0, 0, 1], nn.functional.one_hot(tensor([1L, 2]), 3));
    }
}
