//! A table behind a server: one GET request per key, answered in JSON.

use std::sync::OnceLock;

use reqwest::{Client, StatusCode};
use tidegate_operators::lookup::{Finding, LookupTable, Rows};
use tidegate_runtime::Error;

use crate::http;
use tidegate_rows::format::{Decoded, Decoder, Format, JsonFormat, TextPart, plain};
use tidegate_rows::{Row, Value};

/// A table whose rows come from a server. An object is one row, and an array of objects is several. An empty array or
/// body, null, and 404 (Not Found) mean no rows. Requests without a response, 429 (Too Many Requests) and server
/// errors can be retried; other responses fail the job. A key with a null in it has no row, and no request is sent.
pub struct HttpTable {
    url: Box<[TextPart]>,
    headers: Box<[(String, String)]>,
    format: JsonFormat,
    client: OnceLock<Client>,
}

impl HttpTable {
    /// Requests `url`, in which a field stands for the value at this place of the key, percent-encoded.
    pub fn new(url: impl Into<Box<[TextPart]>>, headers: impl Into<Box<[(String, String)]>>, format: JsonFormat) -> Self {
        Self { url: url.into(), headers: headers.into(), format, client: OnceLock::new() }
    }

    fn url(&self, key: &Row) -> String {
        let (mut url, mut text) = (String::new(), Vec::new());
        for part in &self.url {
            match part {
                TextPart::Literal(part) => url.push_str(part),
                TextPart::Field(place) => {
                    text.clear();
                    plain(key.get(*place), &mut text);
                    text.iter().for_each(|byte| encode(*byte, &mut url));
                }
            }
        }
        url
    }

    async fn ask(&self, key: &Row) -> Result<Rows<Row>, Error> {
        let client = self.client.get().ok_or_else(|| Error::internal("a table was asked before it was opened"))?;
        let url = self.url(key);
        let request = self.headers.iter().fold(client.get(&url), |request, (name, value)| request.header(name, value));
        let response = request.send().await.map_err(|e| Error::external(format!("{url} can't be asked"), e.without_url()))?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => Ok(Rows::default()),
            status if status.is_success() => self.rows(&url, &http::body(&url, response).await?),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Error::external(format!("{url} can't answer"), std::io::Error::other(status.to_string())))
            }
            status => Err(Error::user(format!("{url} answers {status}"))),
        }
    }

    fn rows(&self, url: &str, body: &[u8]) -> Result<Rows<Row>, Error> {
        let wrong = |what: String| Error::user(format!("the answer of {url} is no row: {what}"));
        let mut decoder = self.format.decoder();
        let mut row = |json: &[u8]| match decoder.decode(json) {
            Ok(Decoded::Record { value, .. }) => Ok(Some(value)),
            Ok(Decoded::Watermark(_) | Decoded::Nothing) => Ok(None),
            Err(error) => Err(wrong(error)),
        };
        match body.trim_ascii() {
            b"" | b"null" => Ok(Rows::default()),
            list if list.starts_with(b"[") => {
                let objects: Vec<serde_json::Value> = serde_json::from_slice(list).map_err(|error| wrong(error.to_string()))?;
                let rows = objects.iter().filter_map(|object| row(object.to_string().as_bytes()).transpose());
                rows.collect()
            }
            object => row(object).map(|row| row.into_iter().collect()),
        }
    }
}

/// Appends a byte of a value. Everything that is not unreserved (RFC 3986) is percent-encoded.
fn encode(byte: u8, url: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        url.push(char::from(byte));
    } else {
        url.extend(['%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

impl LookupTable<Row> for HttpTable {
    type Row = Row;

    fn describe(&self) -> String {
        let part = |part: &TextPart| match part {
            TextPart::Literal(text) => text.to_string(),
            TextPart::Field(_) => "{}".to_owned(),
        };
        self.url.iter().map(part).collect()
    }

    fn open(&self) -> Result<(), Error> {
        if self.client.get().is_none() {
            // Another worker may have been first.
            let _ = self.client.set(http::client()?);
        }
        Ok(())
    }

    fn known(&self, key: &Row) -> Result<Option<Rows<Row>>, Error> {
        Ok(key.0.iter().any(Value::is_null).then(Rows::default))
    }

    fn find(&self, key: Row) -> Finding<'_, Row> {
        Box::pin(async move { self.ask(&key).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_rows::format::{Conversion, Layout};

    fn table() -> HttpTable {
        let layout = Layout::new([("score", Conversion::Int), ("why", Conversion::String)]);
        let url = [TextPart::Literal("http://h/".into()), TextPart::Field(1), TextPart::Literal("?k=".into()), TextPart::Field(0)];
        HttpTable::new(url, [], JsonFormat::new(layout))
    }

    #[test]
    fn values_are_encoded_in_the_url() {
        let key = Row::from_iter([Value::string("a/b c&d=é"), Value::Int(-7)]);
        assert_eq!(table().url(&key), "http://h/-7?k=a%2Fb%20c%26d%3D%C3%A9");
    }

    #[test]
    fn an_answer_is_a_row_several_or_none() {
        let rows =
            |body: &str| table().rows("u", body.as_bytes()).map(|rows| rows.iter().map(|row| row.get(0).clone()).collect::<Vec<_>>());
        assert_eq!(rows(" {\"score\": 3, \"more\": [1]}\n").unwrap(), [Value::Int(3)]);
        assert_eq!(rows("[{\"score\": 3}, {\"why\": \"x\"}]").unwrap(), [Value::Int(3), Value::Null]);
        for none in ["", " \n", "null", "[]"] {
            assert_eq!(rows(none).unwrap(), [], "{none}");
        }
        assert!(rows("{\"score\": \"many\"}").unwrap_err().to_string().contains("`score`"));
        assert!(rows("[3]").is_err());
        assert!(rows("<html>").is_err());
    }
}
