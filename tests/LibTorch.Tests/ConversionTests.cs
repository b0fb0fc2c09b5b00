using TorchSharp;
using Xunit;
using static Gradus.LibTorch.Tests.Values;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class ConversionTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    public void Dispose() => _scope.Dispose();

    [Fact]
    public void ElementTypesAndBack()
    {
        Tensor a = tensor([1.5f, -2, 0]);
        Equal([3], [1, -2, 0], a.to(ScalarType.Int64));
        Equal([3], [1, 1, 0], a.to_type(ScalarType.Bool));
        Assert.Equal(2, a.bfloat16().element_size());
        Equal([3], [1.5, -2, 0], a.half().@float());
        Assert.Equal(ScalarType.Int32, a.@int().dtype);
        Assert.Equal(ScalarType.Float64, a.type_as(tensor(1.0)).dtype);
        Assert.Equal(DeviceType.CPU, a.to(CPU).device_type);
        Assert.Equal("cpu", a.device.ToString());
        Assert.Equal(1.5f, a[0].item<float>());
        Assert.Equal(1.5, (double)a[0]);
        Assert.Equal(-2, a[1].ToInt64());
        Assert.Equal("[3], type = Float32, device = cpu", a.ToString());
    }

    [Fact]
    public void BytesAreTheTensorsOwnMemory()
    {
        Tensor a = tensor([1f, 2]);
        Assert.Equal(BitConverter.GetBytes(1f), a.bytes[..4].ToArray());
        BitConverter.TryWriteBytes(a.bytes[4..], 9f);
        Equal([2], [1, 9], a);
        a.bytes = BitConverter.GetBytes(3f).Concat(BitConverter.GetBytes(4f)).ToArray();
        Equal([2], [3, 4], a);
        Assert.Throws<InvalidOperationException>(() => { _ = Matrix().t().bytes; });
        Assert.Throws<ArgumentException>(() => a.bytes = new byte[3]);
    }

    [Fact]
    public void AnAccessorFollowsAView()
    {
        Tensor a = Matrix(), turned = a.t();
        Assert.Equal([1f, 4, -2, 5, 3, -6], turned.data<float>().ToArray());
        Assert.Equal(5f, turned.data<float>()[1, 1]);
        Assert.Equal(-2f, turned.data<float>()[2]);
        turned.data<float>().CopyFrom([10, 40]);
        Equal([2, 3], [10, -2, 3, 40, 5, -6], a);
        Assert.Equal(6, turned.data<float>().Count);
        Assert.Equal([10f, 40, -2, 5, 3, -6], turned.data<float>());
        Assert.Empty(zeros(0).data<float>().ToArray());
        Assert.Throws<IndexOutOfRangeException>(() => a.data<float>()[6]);
    }

    [Fact]
    public void ANumberOfTheWrongTypeIsRefused()
    {
        Assert.Contains("not compatible", Assert.Throws<ArgumentException>(() => tensor([1f]).item<double>()).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => tensor([1f, 2]).item<float>());
        Assert.Throws<ArgumentException>(() => tensor([1L]).data<int>());
    }

    [Theory]
    [InlineData("cpu", "cpu")]
    [InlineData("cuda:1", "cuda:1")]
    [InlineData("CUDA", "cuda")]
    public void DevicesAreRead(string text, string expected) => Assert.Equal(expected, new Device(text).ToString());

    [Theory]
    [InlineData("gpu")]
    [InlineData("cuda:x")]
    [InlineData("cuda:1:2")]
    [InlineData("1")]
    public void UnknownDevicesAreRefused(string text) => Assert.Throws<ArgumentException>(() => new Device(text));
}
