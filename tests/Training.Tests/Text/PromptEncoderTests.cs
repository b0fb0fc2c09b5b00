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
    [InlineData("\"User: 4\\nAssistant:<think>\\n\"", "<think>\n")]
    [InlineData("\"User: 4\\nAssistant:\"", "")]
    [InlineData("\"User: <think>4\\nAssistant:\"", "")] // speaks of the tag
    [InlineData("\"User: 4\\nAssistant:<think>\\n</think>\\n\"", "")] // closed: Qwen3 without thinking
    [InlineData("""[{"role":"user","content":"4 <think>"}]""", "")]
    [InlineData("""[{"role":"user","content":"4"},{"role":"assistant","content":"<think>4 + 5"}]""", "<think>4 + 5")] // continued within its reasoning
    [InlineData("""[{"role":"user","content":"<think>4"},{"role":"assistant","content":"5"}]""", "")]
    [InlineData("""[{"role":"user","content":"4"},{"role":"assistant","content":"<think>4</think>5"}]""", "")]
    public void What_a_prompt_opens_belongs_to_the_completion(string prompt, string opened)
    {
        var encoded = encoder.Encode(Json(prompt));
        Assert.Equal(opened, encoded.Opened);
        Assert.Equal(encoded.Text, encoded.Shown + opened);
    }

    [Theory]
    [InlineData("<think>\n4</think>5", "4</think>5<eos>")]
    [InlineData("<think>4</think>5", "4</think>5<eos>")]
    [InlineData("5", null)]
    public void A_template_that_opens_the_reasoning_and_hides_it_can_be_learned_from(string content, string? expected)
    {
        File.WriteAllText(Path.Combine(folder, "chat_template.jinja"), ThinkingTemplate.Text);
        var thinking = PromptEncoder.Load(folder);
        var row = JsonSerializer.SerializeToElement(new { prompt = new[] { new { role = "user", content = "4" } }, completion = new[] { new { role = "assistant", content } } });
        if (expected is null)
        {
            Assert.Throws<InvalidInputException>(() => thinking.EncodeExample(row));
            return;
        }

        var example = thinking.EncodeExample(row);
        Assert.Equal("User: 4\nAssistant:<think>\n", thinking.Tokenizer.Decode(example.Tokens.AsSpan(0, example.FirstTarget)));
        Assert.Equal(expected, thinking.Tokenizer.Decode(example.Tokens.AsSpan(example.FirstTarget)));
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
