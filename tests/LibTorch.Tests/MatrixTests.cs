using TorchSharp;
using Xunit;
using static Gradus.LibTorch.Tests.Values;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class MatrixTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Products()
    {
        Tensor a = Matrix(), b = tensor([1f, 0, 0, 1, 1, 1], [3, 2]);
        Equal([2, 2], [4, 1, -2, -1], a.matmul(b));
        Equal([2, 2], [4, 1, -2, -1], mm(a, b));
        Equal([1, 2, 2], [4, 1, -2, -1], a.unsqueeze(0).bmm(b.unsqueeze(0)));
        Equal([2], [2, 3], a.mv(ones(3)));
        Equal([], [14], tensor([1f, 2, 3]).dot(tensor([1f, 2, 3])));
        Equal([2, 2], [3, 4, 6, 8], tensor([1f, 2]).outer(tensor([3f, 4])));
        Equal([2, 2], [5, 3, -1, 1], nn.functional.linear(a, b.t(), tensor([1f, 2])));
        Equal([2, 2], [9, 3, -3, -1], full([2, 2], 1f).addmm(a, b, beta: 1, alpha: 2) - tensor([0f, 0, 0, 0], [2, 2]));
        Equal([2, 2], [4, 1, -2, -1], einsum("ij,jk->ik", a, b));
    }

    [Fact]
    public void AttentionLooksWhereTheMaskSays()
    {
        // Two positions of width 1: scores 0 and ln 3 for the second query.
        Tensor q = tensor([0.0, 1], [1, 1, 2, 1]), k = tensor([0, Math.Log(3)], [1, 1, 2, 1]), v = tensor([10.0, 20], [1, 1, 2, 1]);
        Equal([1, 1, 2, 1], [15, 17.5], nn.functional.scaled_dot_product_attention(q, k, v));
        Equal([1, 1, 2, 1], [10, 17.5], nn.functional.scaled_dot_product_attention(q, k, v, is_casual: true));
        Equal([1, 1, 2, 1], [20, 10], nn.functional.scaled_dot_product_attention(q, k, v, tensor([false, true, true, false], [2, 2])));
        Equal([1, 1, 2, 1], [10 / 4.0 + 20 * 3 / 4.0, 20 * 9 / 10.0 + 1], nn.functional.scaled_dot_product_attention(q, k, v, tensor([0, Math.Log(3), 0, Math.Log(3)], [2, 2])));
    }

    [Fact]
    public void FactoriesMakeWhatTheyAreAsked()
    {
        Equal([2, 2], [0, 0, 0, 0], zeros(2, 2));
        Equal([3], [1, 1, 1], ones(3, dtype: ScalarType.Int64));
        Equal([2], [7, 7], full([2], 7));
        Equal([3], [0, 1, 2], arange(3));
        Equal([3], [1, 3, 5], arange(1, 7, 2));
        Equal([3], [0, .5, 1], linspace(0, 1, 3));
        Assert.Equal(ScalarType.Int64, arange(3).dtype);
        Assert.Equal(ScalarType.Float32, arange(0.0, 1, 0.5).dtype);
        Assert.Equal([2L, 3], empty([2, 3], ScalarType.Float64).shape);
        Equal([2, 3], [0, 0, 0, 0, 0, 0], zeros_like(Matrix()));
        Equal([2, 3], [4, 4, 4, 4, 4, 4], full_like(Matrix(), 4));
        Equal([], [3.5], tensor(3.5));
        Assert.Equal(ScalarType.Bool, tensor([true, false]).dtype);
        Assert.Equal(ScalarType.Float64, tensor([1f], dtype: ScalarType.Float64).dtype);
        Assert.Throws<ArgumentException>(() => tensor([1f, 2], [3]));
    }

    [Fact]
    public void TheSameSeedDrawsTheSame()
    {
        random.manual_seed(5);
        Tensor a = randn(4);
        random.manual_seed(5);
        Assert.True(a.Equals(randn(4)));
        using var one = new Generator(9);
        using var other = new Generator(9);
        Assert.True(rand([3], generator: one).Equals(rand([3], generator: other)));
        Assert.Equal(1, tensor([0f, 1, 0]).multinomial(1, generator: one).item<long>());
        Assert.InRange(zeros(100).uniform_(2, 3).mean().ToSingle(), 2, 3);
        Assert.All(randint(2, 5, [20]).data<long>(), v => Assert.InRange(v, 2, 4));
    }
}
