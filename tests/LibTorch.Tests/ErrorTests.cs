using System.Runtime.InteropServices;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class ErrorTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    public void Dispose() => _scope.Dispose();

    private static string Message(Action action) => Assert.Throws<ExternalException>(action).Message;

    [Fact]
    public void NativeErrorsKeepLibtorchsWords()
    {
        Assert.Contains("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", Message(() => ones(2, 3).mm(ones(2, 3))), StringComparison.Ordinal);
        Assert.Contains("shape '[4]' is invalid for input of size 6", Message(() => ones(6).view(4)), StringComparison.Ordinal);
        Assert.Contains("index 7 out of range", Message(() => ones(3).select(0, 7)), StringComparison.Ordinal);
        Assert.Contains("index out of range", Message(() => ones(3, 2).index_select(0, tensor([5L]))), StringComparison.Ordinal);
        Assert.Contains("expected scalar type Float but found Double", Message(() => ones(2, 2).mm(ones(2, 2, ScalarType.Float64))), StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("frame #", Message(() => ones(2, 3).mm(ones(2, 3))), StringComparison.Ordinal);
    }

    [Fact]
    public void AutogradRefusesWhatItCannotDo()
    {
        Tensor x = ones([1], requires_grad: true);
        Tensor loss = (x * x).sum();
        loss.backward();
        Assert.Contains("backward through the graph a second time", Message(loss.backward), StringComparison.Ordinal);
        Assert.Contains("a leaf Variable that requires grad", Message(() => x.add_(1)), StringComparison.Ordinal);
        Assert.Contains("does not require grad", Message(() => ones(1).backward()), StringComparison.Ordinal);
        Assert.Contains("can be implicitly created only for scalar outputs", Message(() => (ones([2], requires_grad: true) * 2).backward()), StringComparison.Ordinal);
        Assert.Contains("floating point", Message(() => ones(1, ScalarType.Int64).requires_grad_()), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void TheCountAndTheKindsOfArgumentsAreChecked()
    {
        Tensor x = ones(2);
        Assert.Contains("argument 'dim' is of type int, but got a tensor", Message(() => new Op("softmax.int").Call(x, x)), StringComparison.Ordinal);
        Assert.Contains("argument 'self' is of type Tensor, but got none", Message(() => new Op("exp").Call(Arg.None)), StringComparison.Ordinal);
        Assert.Contains("argument 'p' is of type float, but got an integer", Message(() => new Op("dropout").Call(x, 1, true)), StringComparison.Ordinal);
        Assert.Contains("argument 'dim' is missing", Message(() => new Op("softmax.int").Call(x)), StringComparison.Ordinal);
        Assert.Contains("takes at most 1 arguments, but got 3", Message(() => new Op("exp").Call(x, x, x)), StringComparison.Ordinal);
        Assert.Contains("argument 'tensors' is of type Tensor[], but got a list of integers", Message(() => new Op("cat").Call(new long[] { 1 })), StringComparison.Ordinal);
        Assert.Contains("no_such_operator", Message(() => new Op("no_such_operator").Call(x)), StringComparison.Ordinal);
        Assert.Contains("no_such_overload", Message(() => new Op("exp.no_such_overload").Call(x)), StringComparison.Ordinal);
        Assert.Contains("Dimension out of range", Message(() => x.softmax(5)), StringComparison.Ordinal);
    }

    /// <summary>Every operator that a method names exists in this libtorch under this name.</summary>
    [Fact]
    public void EveryOperatorIsThere()
    {
        var fields = typeof(Ops).GetFields(System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic);
        Assert.True(fields.Length > 200);
        Assert.All(fields, f => ((Op)f.GetValue(null)!).Find());
    }

    [Fact]
    public void UseAfterDisposeThrows()
    {
        Tensor x = ones(2), y = ones(2);
        x.Dispose();
        x.Dispose();
        Assert.True(x.IsInvalid);
        Assert.Throws<ObjectDisposedException>(() => x + y);
        Assert.Throws<ObjectDisposedException>(() => y + x);
        Assert.Throws<ObjectDisposedException>(() => cat([y, x]));
        Assert.Throws<ObjectDisposedException>(() => x.shape);
        Assert.Throws<ObjectDisposedException>(() => { _ = x.bytes; });
        Assert.Throws<ObjectDisposedException>(() => x.backward());
        // TorchSharp throws its base class.
        Assert.ThrowsAny<InvalidOperationException>(() => x.Handle);
        var values = y.data<float>();
        y.Dispose();
        Assert.Throws<ObjectDisposedException>(() => values[0]);
        Assert.Equal("disposed", x.ToString());
    }

    [Fact]
    public void WhatThisProfileLacksSaysSo()
    {
        Tensor x = ones(1, 1, 2, 2);
        Assert.Contains("dropout", Assert.Throws<NotSupportedException>(() => nn.functional.scaled_dot_product_attention(x, x, x, p: 0.1)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => nn.functional.scaled_dot_product_attention(x, x, x, ones(2, 2), is_casual: true));
        Assert.False(cuda.is_available());
        Assert.Equal(0, cuda.device_count());
        Assert.NotEmpty(Message(() => x.to("cuda")));
    }
}
