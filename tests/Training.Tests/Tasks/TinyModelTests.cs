using Gradus.Training.Model;
using Gradus.Training.Tasks;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Tasks;

public sealed class TinyModelTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gradus-tiny-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void The_tiny_model_is_a_folder_like_any_other()
    {
        TinyModel.Write(folder);
        var config = ModelConfig.Read(folder);
        Assert.Equal((128, 4, 4, 336, 256), (config.HiddenSize, config.Layers, config.Heads, config.FeedForwardSize, config.MaxPositions));
        var tokenizer = Tokenizer.Load(folder);
        Assert.Equal((config.VocabularySize, config.PadToken), (tokenizer.VocabularySize, tokenizer.TokenId("<pad>")));
        Assert.Equal([tokenizer.TokenId("<eos>")!.Value], config.EndTokens);
    }

    [Fact]
    public void Its_untrained_weights_are_those_that_its_seed_draws()
    {
        TinyModel.Write(folder);
        using var read = CausalLm.Load(folder);
        using var drawn = CausalLm.Create(read.Config, BuiltIn.Seed);
        Assert.Equal(drawn.Parameters.Select(p => p.Key), read.Parameters.Select(p => p.Key));
        foreach (var ((name, expected), (_, actual)) in drawn.Parameters.Zip(read.Parameters)) Assert.True(expected.bytes.SequenceEqual(actual.bytes), name);
        Assert.InRange(read.Parameters.Sum(p => p.Value.numel()), 780_000, 820_000);
    }
}
