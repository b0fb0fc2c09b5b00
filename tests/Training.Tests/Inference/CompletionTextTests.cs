using Gradus.Training.Inference;
using Gradus.Training.Tasks;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Inference;

public sealed class CompletionTextTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gradus-text-").FullName;
    private readonly Tokenizer tokenizer;

    public CompletionTextTests()
    {
        TinyModel.Write(folder);
        tokenizer = Tokenizer.Load(folder);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Text_passes_and_special_tokens_leave_none()
    {
        var text = new CompletionText(tokenizer, []);
        int[] tokens = [.. tokenizer.Encode("<think>4 + 5</think>"), tokenizer.TokenId("<eos>")!.Value];
        Assert.Equal("<think>4 + 5</think>", string.Concat(tokens.Select(text.Push)) + text.Flush());
    }

    [Fact]
    public void A_stop_text_over_several_tokens_is_cut_and_what_may_become_one_is_held()
    {
        var text = new CompletionText(tokenizer, ["34", "9 = "]);
        string Push(string token) => text.Push(tokenizer.Encode(token)[0]);
        Assert.Equal("1", Push("1"));
        Assert.Equal("", Push("3"));
        Assert.Equal("35", Push("5"));
        Assert.Equal("", Push("3"));
        Assert.False(text.Stopped);
        Assert.Equal("", Push("4"));
        Assert.True(text.Stopped);
        Assert.Equal("", Push("7") + text.Flush());
    }

    [Fact]
    public void What_was_held_comes_at_the_end()
    {
        var text = new CompletionText(tokenizer, ["34"]);
        Assert.Equal("", text.Push(tokenizer.Encode("3")[0]));
        Assert.Equal("3", text.Flush());
    }
}
