using Gradus.Training.Model;
using Xunit;

namespace Gradus.Training.Tests.Model;

public sealed class ProcessorTests
{
    [Theory]
    [InlineData("flags\t\t: fpu avx512f avx512_bf16 avx512vbmi", true)]
    [InlineData("flags\t\t: fpu amx_bf16", true)]
    [InlineData("Features\t: fp asimd bf16", true)]
    [InlineData("flags\t\t: fpu avx512f avx512_vnni", false)]
    [InlineData("model name\t: bf16 avx512_bf16", false)]
    public void Instructions_for_bf16_are_told_by_their_names(string line, bool has) => Assert.Equal(has, Processor.ToldIn(["processor\t: 0", line]));
}
