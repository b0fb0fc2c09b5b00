using System.Text.Json;
using Gradus.Training.Tasks;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

public sealed class PromptEncoderTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gradus-prompt-").FullName;
    private readonly PromptEncoder encoder;

    public PromptEncoderTests()
    {
        TinyModel.WriteWithoutWeights(folder);
        encoder = PromptEncoder.Load(folder);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_text_and_the_same_as_messages_have_the_same_tokens()
    {
        var text = encoder.Encode(Json("\"User: What is 47 + 8?\\nAssistant:\""));
        var chat = encoder.Encode(Json("""[{"role":"user","content":"What is 47 + 8?"}]"""));
        Assert.Equal(text.Text, chat.Text);
        Assert.Equal(text.Tokens, chat.Tokens);
    }

    [Fact]
    public void Messages_that_end_with_the_assistants_are_continued() =>
        Assert.Equal("User: What is 4?\nAssistant:<think>", encoder.Encode(Json("""[{"role":"user","content":"What is 4?"},{"role":"assistant","content":"<think>"}]""")).Text);

    [Theory]
    [InlineData("""{"prompt":"User: 4\nAssistant:","completion":"5"}""")]
    [InlineData("""{"prompt":"User: 4\nAssistant:","completion":"5<eos>"}""")]
    [InlineData("""{"messages":[{"role":"user","content":"4"},{"role":"assistant","content":"5"}]}""")]
    [InlineData("""{"prompt":[{"role":"user","content":"4"}],"completion":[{"role":"assistant","content":"5"}]}""")]
    public void An_example_learns_its_completion_and_the_end(string row)
    {
        var example = encoder.EncodeExample(Json(row));
        Assert.Equal("User: 4\nAssistant:", encoder.Tokenizer.Decode(example.Tokens.AsSpan(0, example.FirstTarget)));
        Assert.Equal("5<eos>", encoder.Tokenizer.Decode(example.Tokens.AsSpan(example.FirstTarget)));
    }

    [Fact]
    public void A_text_is_learned_but_for_its_first_token()
    {
        var example = encoder.EncodeExample(Json("""{"text":"47"}"""));
        Assert.Equal((3, 1), (example.Tokens.Length, example.FirstTarget));
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"prompt":"a"}""")]
    [InlineData("""{"prompt":"a","completion":[]}""")]
    [InlineData("""{"messages":[]}""")]
    [InlineData("""{"messages":{}}""")]
    [InlineData("""{"messages":["a"]}""")]
    [InlineData("""{"prompt":"a","completion":"\ud800"}""")]
    public void Rows_of_another_form_are_refused(string row) => Assert.Throws<InvalidInputException>(() => encoder.EncodeExample(Json(row)));

    [Theory]
    [InlineData("1")]
    [InlineData("\"\"")]
    [InlineData("[]")]
    [InlineData("\"a\\ud800\"")]
    [InlineData("""[{"role":"user","content":"\ud800"}]""")]
    [InlineData("""[{"role":"user","\udc00":"a"}]""")]
    [InlineData("""[{"role":"user","content":"a"},{"role":"assistant","content":"\ud800"}]""")]
    public void Prompts_of_another_form_are_refused(string prompt) => Assert.Throws<InvalidInputException>(() => encoder.Encode(Json(prompt)));

    [Fact]
    public void A_model_without_template_takes_texts_alone()
    {
        File.Delete(Path.Combine(folder, "tokenizer_config.json"));
        var bare = PromptEncoder.Load(folder);
        Assert.Equal(2, bare.Encode(Json("\"47\"")).Tokens.Length);
        Assert.Contains("chat template", Assert.Throws<InvalidInputException>(() => bare.Encode(Json("""[{"role":"user","content":"4"}]"""))).Message, StringComparison.Ordinal);
    }

    private static JsonElement Json(string json) => JsonSerializer.Deserialize<JsonElement>(json);
}
