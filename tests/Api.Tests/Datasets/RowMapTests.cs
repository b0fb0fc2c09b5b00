using System.Text;
using System.Text.Json;
using Gradus.Api.Datasets;
using Gradus.Training;
using Xunit;

namespace Gradus.Api.Tests.Datasets;

/// <summary>Rows of another form become rows that stages can use, by a map that is checked before and named where it is wrong.</summary>
public sealed class RowMapTests(ApiHost host)
{
    private const string Map = """
        {"prompt":[{"role":"user","content":{"field":"question"}}],
         "completion":[{"role":"assistant","content":{"join":["<think>\n",{"field":"answer","before":"####","without":["<<",">>"]},"\n</think>\n<answer>",{"field":"answer","after":"####"},"</answer>"]}}],
         "answer":{"field":"answer","after":"####"},"level":3}
        """;

    private const string Row = """{"question":"How many are 48 and 24?","answer":"It is 48+24 = <<48+24=72>>72.\n#### 72"}""";

    [Theory]
    [InlineData("""{"text":{"field":"a"}}""", """{"a":" x "}""", """{"text":"x"}""")]
    [InlineData("""{"text":{"field":"a"}}""", """{"a":1.50}""", """{"text":"1.50"}""")]
    [InlineData("""{"text":{"field":"a","after":"#"}}""", """{"a":"1 # 2 # 3"}""", """{"text":"3"}""")]
    [InlineData("""{"text":{"field":"a","before":"#"}}""", """{"a":"1 # 2 # 3"}""", """{"text":"1 # 2"}""")]
    [InlineData("""{"text":{"field":"a","before":"]","after":"["}}""", """{"a":"x [1] y"}""", """{"text":"1"}""")]
    [InlineData("""{"text":{"field":"a","without":["<<",">>"]}}""", """{"a":"1<<2>>3 << 4 >>5<<6"}""", """{"text":"13 5<<6"}""")]
    [InlineData("""{"text":{"join":[{"field":"a"}," and ",{"field":"b"}]},"n":1,"l":["x",{"deep":{"field":"b"}}]}""", """{"a":"1","b":"2"}""", """{"text":"1 and 2","n":1,"l":["x",{"deep":"2"}]}""")]
    public void ARowIsMadeOfFieldsAndTexts(string map, string row, string expected) =>
        Assert.True(JsonElement.DeepEquals(JsonElement.Parse(expected), RowMap.Parse(map).Apply(JsonElement.Parse(row))));

    [Theory]
    [InlineData("""{"text":"x"}""", "map", "1 to 16 fields")]
    [InlineData("""["x"]""", "map", "an object")]
    [InlineData("""{"text":{"field":3}}""", "map.text.field", "1 to 200 characters")]
    [InlineData("""{"text":{"field":"a","befor":"#"}}""", "map.text.befor", "before, after and without")]
    [InlineData("""{"text":{"field":"a","after":""}}""", "map.text.after", "1 to 200 characters")]
    [InlineData("""{"text":{"field":"a","without":["<<"]}}""", "map.text.without", "two texts")]
    [InlineData("""{"list":[{"join":[]}]}""", "map.list[0].join", "not empty")]
    [InlineData("""{"text":{"join":["a",["b"]]}}""", "map.text.join[1]", "a text or")]
    [InlineData("""{"text":""", "map", "not valid JSON")]
    [InlineData("""{"text":{"field":"\ud800"}}""", "map.text.field", "surrogate")]
    public void AWrongMapIsNamed(string map, string place, string said)
    {
        var error = Assert.Throws<InvalidInputException>(() => RowMap.Parse(map));
        Assert.Equal(place, error.Parameter);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFormsMapMakesRowsAndTheBytesStay()
    {
        using var response = await SendAsync(Map, Row + "\n\n" + Row);
        var dataset = await response.OkAsync();
        Assert.Equal((2, (Row.Length * 2) + 2), (dataset.GetProperty("row_count").GetInt32(), dataset.GetProperty("byte_count").GetInt32()));
        var row = (await host.Client.GetOkAsync($"/v1/datasets/{dataset.Text("id")}/rows?limit=1")).Data().Single().GetProperty("content");
        Assert.Equal(("72", 3, "How many are 48 and 24?"), (row.Text("answer"), row.GetProperty("level").GetInt32(), row.GetProperty("prompt")[0].Text("content")));
        Assert.Equal("<think>\nIt is 48+24 = 72.\n</think>\n<answer>72</answer>", row.GetProperty("completion")[0].Text("content"));
        using var content = await host.Client.GetAsync($"/v1/datasets/{dataset.Text("id")}/content", Requests.Cancel);
        Assert.Equal(Row + "\n\n" + Row, await content.Content.ReadAsStringAsync(Requests.Cancel));
    }

    [Fact]
    public async Task ABodysMapMakesRows()
    {
        var dataset = await host.Client.PostOkAsync("/v1/datasets", $$"""{"name":"mapped","rows":[{{Row}}],"map":{{Map}}}""");
        Assert.Equal("72", (await host.Client.GetOkAsync($"/v1/datasets/{dataset.Text("id")}/rows")).Data().Single().GetProperty("content").Text("answer"));
        Assert.Equal("map", (await host.Client.PostErrorAsync("/v1/datasets", $$"""{"name":"mapped","rows":[{{Row}}],"map":[]}""")).Text("param"));
    }

    [Theory]
    [InlineData("""{"question":"a","answer":"72"}""", "asks for '####' in the field 'answer'")]
    [InlineData("""{"question":"a","answer":"x ####  "}""", "of the field 'answer' is empty")]
    [InlineData("""{"question":"a","solution":"72"}""", "asks for the field 'answer'; this row has question, solution")]
    [InlineData("""{"question":["a"],"answer":"x #### 1"}""", "'question', which must be a text or a number")]
    public async Task ALineThatDoesNotFitTheMapIsNamed(string line, string said)
    {
        using var response = await SendAsync(Map, Row + "\n" + line);
        var wrong = Assert.Single((await response.ErrorAsync(400)).GetProperty("lines").EnumerateArray());
        Assert.Equal(2, wrong.GetProperty("line").GetInt64());
        Assert.Contains(said, wrong.Text("message"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMapThatMakesWrongRowsOrIsTooLongIsRefused()
    {
        using (var response = await SendAsync("""{"prompt":{"field":"question"}}""", Row))
            Assert.Contains("needs 'completion'", (await response.ErrorAsync(400)).Text("message"), StringComparison.Ordinal);
        using var large = await SendAsync(Map + new string(' ', 5000), Row);
        Assert.Equal(("map", "out_of_range"), ((await large.ErrorAsync(400)) is var error ? error.Text("param") : "", error.Text("code")));
    }

    private async Task<HttpResponseMessage> SendAsync(string map, string text)
    {
        using var form = new MultipartFormDataContent { { new StringContent("mapped"), "name" }, { new StringContent(map), "map" }, { new ByteArrayContent(Encoding.UTF8.GetBytes(text)), "file", "rows.jsonl" } };
        return await host.Client.PostAsync("/v1/datasets", form, Requests.Cancel);
    }
}
