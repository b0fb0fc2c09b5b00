using System.Text.Json;
using Gradus.Api.Chat;
using Gradus.Training;
using Xunit;

namespace Gradus.Api.Tests.Chat;

public sealed class ChatRequestReaderTests
{
    private const string Hello = "\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]";

    [Fact]
    public void A_plain_request_has_the_defaults()
    {
        var request = Read($"{{{Hello}}}");
        Assert.Equal(("m", 1, false, (int?)null, (long?)null, (int?)null), (request.Model, request.Count, request.Stream, request.MaxTokens, request.Seed, request.TopLogProbs));
        Assert.Equal(new Gradus.Training.Inference.SamplingOptions(), request.Sampling);
        Assert.Empty(request.Stop);
    }

    [Fact]
    public void Every_field_arrives()
    {
        var request = Read($$"""
            {{{Hello}},"stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":7,"temperature":0.5,"top_p":0.9,"top_k":4,"min_p":0.1,"n":2,
            "seed":-3,"presence_penalty":1,"frequency_penalty":-1,"repetition_penalty":1.5,"logit_bias":{"5":-100},"logprobs":true,"top_logprobs":2,"stop":["a","b"],"user":"u","made_up":{} }
            """);
        Assert.Equal((7, 2, -3L, true, true, 2), (request.MaxTokens, request.Count, request.Seed, request.Stream, request.IncludeUsage, request.TopLogProbs));
        Assert.Equal((0.5, 0.9, 4, 0.1), (request.Sampling.Temperature, request.Sampling.TopP, request.Sampling.TopK, request.Sampling.MinP));
        Assert.Equal((1.0, -1.0, 1.5), (request.Sampling.PresencePenalty, request.Sampling.FrequencyPenalty, request.Sampling.RepetitionPenalty));
        Assert.Equal(-100, request.Sampling.LogitBias![5]);
        Assert.Equal(["a", "b"], request.Stop);
        Assert.Equal(["user", "made_up"], request.Ignored);
    }

    [Theory]
    [InlineData("\"temperature\":3", "temperature")]
    [InlineData("\"temperature\":-1", "temperature")]
    [InlineData("\"temperature\":\"hot\"", "temperature")]
    [InlineData("\"top_p\":0", "top_p")]
    [InlineData("\"top_p\":2", "top_p")]
    [InlineData("\"max_tokens\":0", "max_tokens")]
    [InlineData("\"max_tokens\":-5", "max_tokens")]
    [InlineData("\"max_tokens\":1.5", "max_tokens")]
    [InlineData("\"n\":0", "n")]
    [InlineData("\"n\":10000", "n")]
    [InlineData("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop")]
    [InlineData("\"stop\":\"\"", "stop")]
    [InlineData("\"stop\":[1]", "stop")]
    [InlineData("\"seed\":\"abc\"", "seed")]
    [InlineData("\"logit_bias\":{\"5\":101}", "logit_bias.5")]
    [InlineData("\"logit_bias\":{\"x\":1}", "logit_bias")]
    [InlineData("\"top_logprobs\":3", "top_logprobs")]
    [InlineData("\"logprobs\":true,\"top_logprobs\":99", "top_logprobs")]
    [InlineData("\"stream_options\":{\"include_usage\":true}", "stream_options")]
    [InlineData("\"stream\":1", "stream")]
    [InlineData("\"presence_penalty\":2.5", "presence_penalty")]
    [InlineData("\"tools\":[{\"type\":\"function\"}]", "tools")]
    [InlineData("\"tool_choice\":\"auto\"", "tool_choice")]
    [InlineData("\"functions\":[{}]", "functions")]
    [InlineData("\"response_format\":{\"type\":\"json_object\"}", "response_format")]
    [InlineData("\"modalities\":[\"text\",\"audio\"]", "modalities")]
    [InlineData("\"audio\":{\"voice\":\"x\"}", "audio")]
    [InlineData("\"reasoning_effort\":\"high\"", "reasoning_effort")]
    [InlineData("\"store\":true", "store")]
    [InlineData("\"continue_final_message\":true", "continue_final_message")]
    public void A_wrong_field_is_named(string field, string parameter)
    {
        var wrong = Assert.Throws<InvalidInputException>(() => Read($"{{{Hello},{field}}}"));
        Assert.Equal(parameter, wrong.Parameter);
        Assert.Contains(parameter.Split('.')[0], wrong.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"tools\":null,\"tool_choice\":\"none\",\"functions\":[]")]
    [InlineData("\"response_format\":{\"type\":\"text\"},\"modalities\":[\"text\"],\"store\":false")]
    [InlineData("\"temperature\":null,\"stop\":null,\"max_tokens\":3.0")]
    public void What_asks_for_nothing_passes(string fields) => Assert.Equal("m", Read($"{{{Hello},{fields}}}").Model);

    [Theory]
    [InlineData("[1,2]", null)]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", "model")]
    [InlineData("{\"model\":\"m\"}", "messages")]
    [InlineData("{\"model\":\"m\",\"messages\":[]}", "messages")]
    [InlineData("{\"model\":\"m\",\"messages\":\"Hi\"}", "messages")]
    [InlineData("{\"model\":\"m\",\"messages\":[\"Hi\"]}", "messages[0]")]
    [InlineData("{\"model\":\"m\",\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}", "messages[0].role")]
    [InlineData("{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}", "messages[0].content")]
    [InlineData("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}", "messages[0].content[0].type")]
    public void A_wrong_message_is_named(string body, string? parameter) => Assert.Equal(parameter, Assert.Throws<InvalidInputException>(() => Read(body)).Parameter);

    [Fact]
    public void Parts_are_joined_a_developer_is_a_system_and_history_is_kept()
    {
        var messages = Read("""
            {"model":"m","messages":[{"role":"developer","content":"Be brief."},{"role":"user","name":"anna","content":[{"type":"text","text":"Say "},{"type":"text","text":"hello."}]},
            {"role":"assistant","content":null,"reasoning_content":"hm"},{"role":"user","content":"And?"}]}
            """).Messages;
        Assert.Equal(["system", "user", "assistant", "user"], messages.EnumerateArray().Select(message => message.GetProperty("role").GetString()));
        Assert.Equal(["Be brief.", "Say hello.", "", "And?"], messages.EnumerateArray().Select(message => message.GetProperty("content").GetString()));
        Assert.Equal("hm", messages[2].GetProperty("reasoning_content").GetString());
    }

    private static ChatRequest Read(string body) => ChatRequestReader.Read(JsonElement.Parse(body));
}
